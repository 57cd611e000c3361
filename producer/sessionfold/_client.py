"""From a call to a published event: numbering, encoding, accounting."""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import time_ns
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, WeakValueDictionary

from sessionfold_schemas import decode, encoder, text_bytes

from ._config import Configuration
from ._publisher import QUEUE_IS_FULL, KafkaPublisher, NotTakenError, OnDelivery, Publisher
from ._session import Session
from ._values import Values
from .errors import ClosedError

if TYPE_CHECKING:
    from ._publisher import DeliveredRecord, DeliveryError

logger = logging.getLogger("sessionfold")

_KEPT_SESSIONS = 1024
"""How many sessions that are not open here are remembered (their mask, above all)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """What became of this process's events; a consistent reading of one moment.

    ``accepted`` is always the sum of ``delivered``, ``spooled``, ``dropped`` and ``in_flight``.
    """

    accepted: int = 0
    """Events that a call has taken."""
    delivered: int = 0
    """Events that the broker has acknowledged."""
    spooled: int = 0
    """Events that wait on disk."""
    dropped: int = 0
    """Events that were given up: the queue was full, or no acknowledgement came in time."""
    in_flight: int = 0
    """Events that wait in memory or for the broker's acknowledgement."""
    texts_cut: int = 0
    """Texts that were longer than the limit and were cut."""
    texts_repaired: int = 0
    """Texts in which U+0000 or lone surrogates were replaced with U+FFFD."""


Publish = Callable[[bytes, bytes, OnDelivery], None]
PublisherFactory = Callable[[Configuration, Callable[[], None]], Publisher]


class Client:
    """One per process. Thread-safe; not usable after a fork (the child makes its own).

    No log line is written under its lock: a log handler may take locks of its own, or call in.
    """

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
        # A session lives as long as it is open, current somewhere, in flight, or owes a loss.
        self._known: WeakValueDictionary[str, Session] = WeakValueDictionary()
        self._publishing: WeakSet[Session] = WeakSet()
        self._recent: deque[Session] = deque(maxlen=_KEPT_SESSIONS)
        self._owing: set[Session] = set()
        # The next event's number, and so how many were accepted.
        self._sequence = 0
        self._delivered = self._dropped = self._in_flight = 0
        self._queue_events = configuration.queue_events
        # Counted by the reporting thread alone, and moved to the accounts after each round: so a
        # delivery report takes no lock that a worker's call could have to wait for.
        self.reported_delivered = self.reported_failed = 0
        self._taken = self._taken_failed = 0
        self._dropped_at_flush = 0
        self._closed = False
        self._said_dropping = False
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
            if self._closed:
                raise ClosedError
            sequence = self._sequence
            self._sequence = sequence + 1
            refused = QUEUE_IS_FULL
            if self._in_flight < self._queue_events or urgent or self._queue_has_room():
                # Not only once it is told: a call that interrupts this one would tell it, too.
                lost = self._take_lost(session) if session.lost else 0
                value = encoder(*fields)(
                    session.prefix, time_ns() // 1000, self._producer_bytes, sequence, lost, fields
                )
                session.accepted += 1
                self._in_flight += 1
                try:
                    self._publish(session.key, value, session.on_delivery)
                except NotTakenError as error:
                    self._take_back(session, lost)
                    refused = str(error)
                else:
                    return
            session.lost += 1
            self._owing.add(session)
            self._dropped += 1
        self._say_dropping(refused)

    def session(self, session_id: str) -> Session:
        """Return the session with this (checked) ID, begun here or elsewhere."""
        with self._lock:
            session = self._known.get(session_id)
            if session is None:
                session = self._known[session_id] = Session(session_id)
                self._recent.append(session)
            return session

    def begin(self, session: Session) -> None:
        """Count ``session`` among the open ones of this process."""
        with self._lock:
            self.open_sessions[session.id] = session
            session.ended = False

    def end(self, session: Session) -> None:
        """Count ``session`` among the open ones no longer."""
        with self._lock:
            session.ended = True
            self._owing.discard(session)
            if self.open_sessions.pop(session.id, None) is not None:
                self._recent.append(session)

    def inherit(self, open_sessions: Mapping[str, Session]) -> None:
        """Know the sessions of the process that this one was forked from."""
        with self._lock:
            self._known.update(open_sessions)
            self.open_sessions.update(open_sessions)

    def flush(self, timeout_seconds: float) -> bool:
        """Wait until all that was accepted so far is delivered.

        Returns:
            False when the time ran out, or something was dropped since the last flush.
        """
        with self._lock:
            settled = self._wait_for(list(self._publishing), timeout_seconds)
            dropped, before = self._dropped_so_far(), self._dropped_at_flush
            self._dropped_at_flush = dropped
            return settled and dropped == before

    def flush_session(self, session: Session, timeout_seconds: float) -> None:
        """Wait until what was accepted of ``session`` so far is delivered or dropped."""
        with self._lock:
            self._wait_for([session], timeout_seconds)

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
        if waiting:
            logger.warning(
                "%d events could not be delivered within %.1f s", waiting, timeout_seconds
            )

    def delivery_failed(
        self, session: Session, error: DeliveryError, record: DeliveredRecord
    ) -> None:
        """Take one report of a failure; runs in the publisher's reporting thread."""
        _, event = decode(record.value(), key=record.key())
        with self._lock:
            session.lost += 1 + event["lost_before"]
            if not session.ended:
                self._owing.add(session)
        self.reported_failed += 1
        self._say_dropping(str(error))

    def _queue_has_room(self) -> bool:
        """Look again after taking the reports that wait to be counted."""
        self._take_reports()
        return self._in_flight < self._queue_events

    def _take_lost(self, session: Session) -> int:
        """Return what ``session`` has to tell, and owe it no longer."""
        lost, session.lost = session.lost, 0
        self._owing.discard(session)
        return lost

    def _take_back(self, session: Session, lost: int) -> None:
        """Undo an event that was not taken, and was to tell of ``lost`` updates."""
        session.accepted -= 1
        self._in_flight -= 1
        session.lost += lost

    def _say_dropping(self, reason: str) -> None:
        if not self._said_dropping:
            self._said_dropping = True
            logger.warning(
                "updates are dropped from now on, counted in stats() and lost_before: %s", reason
            )

    def _adopt(self, session: Session) -> None:
        session.client = self
        session.accepted = session.settled = session.lost = 0
        self._publishing.add(session)
        self._known.setdefault(session.id, session)

    def _wait_for(self, sessions: list[Session], timeout_seconds: float) -> bool:
        marks = [(each, each.accepted) for each in sessions if each.client is self]
        return self._settled_some.wait_for(
            lambda: all(each.settled >= mark for each, mark in marks), timeout_seconds
        )

    def _dropped_so_far(self) -> int:
        """Return also what is reported and not yet taken into the accounts."""
        return self._dropped + self.reported_failed - self._taken_failed

    def _take_reports(self) -> None:
        with self._lock:
            failed = self.reported_failed
            settled = self.reported_delivered + failed - self._taken
            if not settled:
                return
            self._taken += settled
            self._in_flight -= settled
            self._dropped += failed - self._taken_failed
            self._taken_failed = failed
            self._delivered = self._taken - self._taken_failed
            self._settled_some.notify_all()
