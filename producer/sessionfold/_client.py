"""What one process has: its settings, its sessions, the inbox and the sender behind it."""

from __future__ import annotations

import logging
import os
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING
from weakref import WeakSet, WeakValueDictionary

from sessionfold_schemas import decode, encode

from ._inbox import Inbox
from ._publisher import KafkaPublisher, Publisher
from ._sender import Sender
from ._session import Session
from ._stats import Failure, Stats
from ._values import Values

if TYPE_CHECKING:
    from ._config import Configuration
    from ._spooling.backlog import Backlog

logger = logging.getLogger("sessionfold")

PublisherFactory = Callable[["Configuration"], Publisher]

_KEPT_SESSIONS = 1024
"""How many sessions that are not open here are remembered (their mask, above all)."""

_MOST_OWING = 100_000
"""How many sessions are remembered for the losses that their next event has to tell."""

_FINISH_SECONDS = 5.0
"""How long stopping may take, after the time to deliver is over."""

_TURN_SECONDS = 0.002


def load_contract() -> None:
    """Load what the first event would load: the contract, its encoder, and the strict decoder."""
    session = Session("loading")
    value = encode(
        {
            "session_id": session.id, "occurred_at": 0, "producer_id": "", "sequence": 0,
            "lost_before": 0, "task": "",
        }
    )  # fmt: skip
    decode(value, key=session.key)


class Client:
    """One per process. Thread-safe; not usable after a fork (the child makes its own).

    No log line is written under its lock: a log handler may take locks of its own, or call in.

    Args:
        configuration: the settings.
        make_publisher: makes what takes the events; again after it has failed for good.
        threaded: whether a thread of its own does the work; else whoever waits or looks does it.
    """

    def __init__(
        self,
        configuration: Configuration,
        make_publisher: PublisherFactory = KafkaPublisher,
        *,
        threaded: bool = True,
    ) -> None:
        self.configuration = configuration
        self.make_publisher = make_publisher
        self.threaded = threaded
        self.disabled = configuration.disabled
        self.values = Values(configuration.text_limit_bytes)
        self.open_sessions: dict[str, Session] = {}
        self.producer_id = str(uuid.uuid4())
        self.masking_failed = self.said_ignored = False
        self.closes_at = 0.0
        # A session lives as long as it is open, current somewhere, waits, or owes a loss.
        self._known: WeakValueDictionary[str, Session] = WeakValueDictionary()
        self._publishing: WeakSet[Session] = WeakSet()
        self._recent: deque[Session] = deque(maxlen=_KEPT_SESSIONS)
        self._owing: set[Session] = set()
        self._dropped_at_flush = 0
        self._callback_failed = False
        self.inbox = Inbox(configuration, self._accept)
        self._lock = self.inbox.lock
        self.publish = self.inbox.put
        self._thread: threading.Thread | None = None
        self._turning = threading.RLock()
        self.sender: Sender | None = None
        if not self.disabled:
            self.sender = Sender(self, lambda: make_publisher(configuration), self._make_backlog)
            if threaded:
                self._thread = _started(self.sender)

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
            self._owing.discard(session)  # it may never tell any more
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
            False when the time ran out, something is spooled, or was dropped since the last flush.
        """
        settled = self._wait_for(self._all_sessions(), timeout_seconds)
        with self._lock:
            dropped, before = self.stats().dropped, self._dropped_at_flush
            self._dropped_at_flush = dropped
        return settled and dropped == before

    def flush_session(self, session: Session, timeout_seconds: float) -> None:
        """Wait until what was accepted of ``session`` so far is delivered or dropped."""
        known = self._known.get(session.id)
        if known is not None and known.inbox is self.inbox:
            self._wait_for([known], timeout_seconds)

    def stats(self) -> Stats:
        """Read the books at one moment."""
        if self._thread is None:
            self.turn()
        return self.inbox.stats(self.values.texts_cut, self.values.texts_repaired)

    def close(self, timeout_seconds: float) -> None:
        """Deliver what can be delivered in time, spool or drop the rest, stop. Idempotent."""
        self.closes_at = time.monotonic() + timeout_seconds
        if not self.inbox.close():
            return
        if self.sender is None:
            return
        if self._thread is None:
            self.sender.run()
        elif self._thread is not threading.current_thread():
            self._wait_for_the_end(timeout_seconds + _FINISH_SECONDS)
        left = self.inbox.stats(0, 0)
        if left.dropped or left.spooled or left.in_flight:
            self._say_what_is_left(left, timeout_seconds)

    def turn(self) -> None:
        """Do what the thread would, when there is none."""
        if self._thread is None and self.sender is not None and not self.inbox.is_closed:
            with self._turning:
                while self.sender.step(0.0):
                    pass

    def take_lost(self, session: Session) -> int:
        """Return how many updates ``session`` has to tell as lost, and owe them no longer."""
        with self._lock:
            lost, session.lost = session.lost, 0
            self._owing.discard(session)
            return lost

    def add_lost(self, session: Session, lost: int) -> None:
        """Let the next event of ``session`` tell that ``lost`` updates are missing before it."""
        with self._lock:
            session.lost += lost
            self.owes(session)

    def owes(self, session: Session) -> None:
        """Keep ``session`` until it has told what it lost; one that has ended may never."""
        if not session.ended and len(self._owing) < _MOST_OWING:
            self._owing.add(session)

    def tell_failure(self, failure: Failure) -> None:
        """Call the user's callback; whatever it raises stays here."""
        callback = self.configuration.on_failure
        if callback is None:
            return
        try:
            callback(failure)
        # Also SystemExit, which would end the thread that everything waits for.
        except BaseException:
            if not self._callback_failed:
                self._callback_failed = True
                logger.exception("the on_failure callback has failed")

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's."""
        if self.sender is not None:
            self.sender.abandon()

    def _accept(self, session: Session) -> Session:
        """Return the one session with this ID; a context may hold one of an earlier client."""
        known = self._known.setdefault(session.id, session)
        if known.inbox is not self.inbox:
            known.enter(self, self.inbox)
            self._publishing.add(known)
        return known

    def _make_backlog(
        self, publisher: Publisher, say: Callable[[str, object], None]
    ) -> Backlog | None:
        settings = self.configuration
        if settings.on_full != "spool":
            return None
        from ._spooling.backlog import Backlog
        from ._spooling.spool import Destination, Spool, default_directory

        spool = Spool(
            settings.spool_directory or default_directory(os.environ),
            Destination(topic=settings.topic, bootstrap_servers=settings.bootstrap_servers),
            self.producer_id,
        )
        most_bytes = settings.spool_megabytes * 1024 * 1024
        return Backlog(spool, most_bytes, publisher, say)

    def _all_sessions(self) -> list[Session]:
        """Return those that have published; a copy in one go, since others add to them."""
        found = [reference() for reference in list(self._publishing.data)]  # type: ignore[attr-defined]
        return [session for session in found if session is not None]

    def _wait_for(self, sessions: Iterable[Session], timeout_seconds: float) -> bool:
        settlement = _Settlement(self, sessions)
        if self._thread is threading.current_thread():
            return settlement.is_reached()  # a callback: what it waits for, only it could do
        if self._thread is not None:
            return self.inbox.wait_for(settlement.is_reached, timeout_seconds)
        ends = time.monotonic() + timeout_seconds
        self.turn()
        while not settlement.is_reached():
            if time.monotonic() >= ends:
                return False
            time.sleep(_TURN_SECONDS)
            self.turn()
        return True

    def _wait_for_the_end(self, timeout_seconds: float) -> None:
        """Wait for the sender; who interrupts that wants to leave now, with the rest spooled.

        Not by joining its thread: a signal handler may have come while the inbox's lock is held
        here, which a wait for the books gives up and a join does not.
        """
        sender = self.sender
        assert sender is not None  # noqa: S101 - close() has looked
        try:
            self.inbox.wait_for(lambda: sender.has_finished, timeout_seconds)
        except KeyboardInterrupt:
            self.closes_at = 0.0
            self.inbox.wait_for(lambda: sender.has_finished, _FINISH_SECONDS)
            raise

    def _say_what_is_left(self, left: Stats, timeout_seconds: float) -> None:
        parts = [
            f"{number} {word}"
            for number, word in (
                (left.spooled, "are spooled"),
                (left.dropped, "were dropped"),
                (left.in_flight, "are unaccounted for"),
            )
            if number
        ]
        logger.warning(
            "%s of %d updates were not delivered by the end (after at most %.1f s): %s",
            left.spooled + left.dropped + left.in_flight,
            left.accepted,
            timeout_seconds,
            ", ".join(parts),
        )


class _Settlement:
    """Knows when what was put until now is settled, of some sessions."""

    def __init__(self, client: Client, sessions: Iterable[Session]) -> None:
        self._inbox = client.inbox
        self._sender = client.sender
        self._sessions = sessions
        self._last = client.inbox.put_so_far
        self._marks: list[tuple[Session, int]] | None = None
        self._seen_in_round: int | None = None

    def is_reached(self) -> bool:
        """Say whether it is taken, reported on, and in the books."""
        inbox = self._inbox
        if self._marks is None:
            if inbox.taken_so_far < self._last:
                return False
            self._marks = [(each, each.accepted) for each in self._sessions if each.inbox is inbox]
        marks = self._marks
        while marks and marks[-1][0].settled >= marks[-1][1]:
            marks.pop()
        return not marks and self._is_counted()

    def _is_counted(self) -> bool:
        """Reports are seen before the books have them: wait for the round under way, too."""
        if self._seen_in_round is None:
            self._seen_in_round = self._inbox.rounds
        if self._seen_in_round != self._inbox.rounds:
            return True
        return self._sender is None or self._sender.has_counted()


def _started(sender: Sender) -> threading.Thread | None:
    """Start the sender's thread; None where none can be started, as while the process ends."""
    thread = threading.Thread(target=sender.run, name="sessionfold", daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        logger.warning("no thread can be started, so only flush() and the end deliver: %s", error)
        return None
    return thread
