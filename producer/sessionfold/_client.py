"""From a call to a published event: numbering, encoding, accounting."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sessionfold_schemas import decode, encoder, text_bytes

from ._config import Configuration
from ._publisher import KafkaPublisher, OnDelivery, Publisher, QueueFullError
from ._session import Session
from ._values import Values
from .errors import ClosedError

if TYPE_CHECKING:
    from ._publisher import DeliveredRecord, DeliveryError

logger = logging.getLogger("sessionfold")

_KEPT_SESSIONS = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """What became of this process's events; a consistent reading of one moment.

    ``accepted`` is always the sum of ``delivered``, ``spooled``, ``dropped`` and ``in_flight``.
    """

    accepted: int
    """Events that a call has taken."""
    delivered: int
    """Events that the broker has acknowledged."""
    spooled: int
    """Events that wait on disk."""
    dropped: int
    """Events that were given up: the queue was full, or no acknowledgement came in time."""
    in_flight: int
    """Events that wait in memory or for the broker's acknowledgement."""
    texts_cut: int
    """Texts that were longer than the limit and were cut."""
    texts_repaired: int
    """Texts in which U+0000 or lone surrogates were replaced with U+FFFD."""


Publish = Callable[[bytes, bytes, OnDelivery], None]
PublisherFactory = Callable[[Configuration, Callable[[], None]], Publisher]


class Client:
    """One per process. Thread-safe; not usable after a fork (the child makes its own)."""

    def __init__(
        self, configuration: Configuration, make_publisher: PublisherFactory = KafkaPublisher
    ) -> None:
        self.configuration = configuration
        self.make_publisher = make_publisher
        self.values = Values(configuration.text_limit_bytes)
        self.open_sessions: dict[str, Session] = {}
        self.producer_id = str(uuid.uuid4())
        self._producer_bytes = text_bytes(self.producer_id)
        # Re-entrant: a finalizer or signal handler may call in while a call is under way.
        self._lock = threading.RLock()
        self._settled_some = threading.Condition(self._lock)
        self._other_sessions: dict[str, Session] = {}
        # The next event's number, and so how many were accepted.
        self._sequence = 0
        self._delivered = self._dropped = self._in_flight = 0
        self._queue_events = configuration.queue_events
        # Counted by the reporting thread alone, and moved to the accounts after each round: so a
        # delivery report takes no lock that a worker's call could have to wait for.
        self.reported_delivered = self.reported_failed = 0
        self._taken = self._taken_failed = 0
        self._closed = False
        self.masking_failed = self.said_ignored = False
        self._publisher = make_publisher(configuration, self._take_reports)
        self._publish: Publish = self._publisher.publish

    def publish(self, session: Session, fields: dict[str, Any], *, urgent: bool = False) -> None:
        """Publish one event of ``session`` with the given state fields. Never waits.

        Args:
            fields: checked values by field name.
            urgent: may use the part of the queue that is kept for ``init`` and ``end``.

        Raises:
            ClosedError: after :meth:`close`.
        """
        with self._lock:
            if session.client is not self:
                self._adopt(session)
            sequence = self._sequence
            self._sequence = sequence + 1
            if self._in_flight >= self._queue_events and not (urgent or self._queue_has_room()):
                self._drop(session)
                return
            lost, session.lost = session.lost, 0
            value = encoder(*fields)(
                session.prefix,
                time.time_ns() // 1000,
                self._producer_bytes,
                sequence,
                lost,
                *fields.values(),
            )
            session.accepted += 1
            self._in_flight += 1
            try:
                self._publish(session.key, value, session.on_delivery)
            except QueueFullError:
                session.accepted -= 1
                self._in_flight -= 1
                session.lost = lost
                self._drop(session)

    def session(self, session_id: str) -> Session:
        """Return the session with this (checked) ID, begun here or elsewhere."""
        with self._lock:
            session = self.open_sessions.get(session_id) or self._other_sessions.get(session_id)
            if session is None:
                self._forget_quiet_sessions()
                session = self._other_sessions[session_id] = Session(session_id)
            return session

    def begin(self, session: Session) -> None:
        """Count ``session`` among the open ones of this process."""
        with self._lock:
            self._other_sessions.pop(session.id, None)
            self.open_sessions[session.id] = session
            session.ended = False

    def end(self, session: Session) -> None:
        """Count ``session`` among the open ones no longer; its counters are kept while needed."""
        with self._lock:
            session.ended = True
            if self.open_sessions.pop(session.id, None) is not None:
                self._forget_quiet_sessions()
                self._other_sessions[session.id] = session

    def flush(self, timeout_seconds: float, session: Session | None = None) -> bool:
        """Wait until all that was accepted so far (of ``session``, or of all) is delivered.

        Returns:
            False when the time ran out or something was given up meanwhile.
        """
        with self._lock:
            sessions = self._sessions() if session is None else [session]
            marks = [(each, each.accepted) for each in sessions if each.client is self]
            failed = self.reported_failed
            settled = self._settled_some.wait_for(
                lambda: all(each.settled >= mark for each, mark in marks), timeout_seconds
            )
            return settled and failed == self.reported_failed

    def stats(self) -> Stats:
        """Read the accounts at one moment."""
        with self._lock:
            return Stats(
                accepted=self._sequence,
                delivered=self._delivered,
                spooled=0,
                dropped=self._dropped,
                in_flight=self._in_flight,
                texts_cut=self.values.texts_cut,
                texts_repaired=self.values.texts_repaired,
            )

    def close(self, timeout_seconds: float) -> None:
        """Deliver what can be delivered in time, give up the rest, stop. Idempotent."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self.flush(timeout_seconds)
        waiting = self.stats().in_flight
        self._publisher.close()
        self._publish = _refuse
        if waiting:
            logger.warning(
                "%d events could not be delivered within %.1f s", waiting, timeout_seconds
            )

    def delivery_failed(
        self, session: Session, error: DeliveryError, record: DeliveredRecord
    ) -> None:
        """Take one report of a failure; runs in the publisher's reporting thread."""
        self.reported_failed += 1
        if self.reported_failed == 1:
            logger.warning("the broker did not take an event: %s", error)
        _, event = decode(record.value(), key=record.key())
        with self._lock:
            session.lost += 1 + event["lost_before"]

    def _queue_has_room(self) -> bool:
        """Look again after taking the reports that wait to be counted."""
        self._take_reports()
        return self._in_flight < self._queue_events

    def _drop(self, session: Session) -> None:
        session.lost += 1
        self._dropped += 1
        if self._dropped == 1:
            logger.warning("the queue is full: updates are dropped and counted in lost_before")

    def _sessions(self) -> list[Session]:
        return [*self.open_sessions.values(), *self._other_sessions.values()]

    def _adopt(self, session: Session) -> None:
        session.client = self
        session.accepted = session.settled = session.lost = 0

    def _take_reports(self) -> None:
        with self._lock:
            settled = self.reported_delivered + self.reported_failed - self._taken
            if not settled:
                return
            self._taken += settled
            self._in_flight -= settled
            self._dropped += self.reported_failed - self._taken_failed
            self._taken_failed = self.reported_failed
            self._delivered = self._taken - self._taken_failed
            self._settled_some.notify_all()

    def _forget_quiet_sessions(self) -> None:
        if len(self._other_sessions) < _KEPT_SESSIONS:
            return
        for session in list(self._other_sessions.values()):
            if session.accepted == session.settled and not session.lost:
                del self._other_sessions[session.id]


def _refuse(_key: bytes, _value: bytes, _on_delivery: OnDelivery) -> None:
    raise ClosedError
