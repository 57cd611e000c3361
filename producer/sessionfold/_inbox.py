"""Where calls leave their updates, and the books on what became of them.

A call takes no lock as long as there is room: it appends to a deque, which is atomic, and the books
count what lies there when they are read. With a lock, a thread that is interrupted while it holds
it stops all others; with eight that call in loops, one call in a hundred waited for that.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic, time_ns
from typing import TYPE_CHECKING, Any

from ._stats import Stats
from .errors import ClosedError

if TYPE_CHECKING:
    from ._config import Configuration
    from ._session import Session

Update = list[Any]
"""What waits: ``[session, fields, occurred_at, calls, bytes]``; a list is the cheapest to make."""

RESERVED_EVENTS = 1_000
"""Room that only ``init`` and ``end`` events may take."""

EVENT_BYTES = 160
"""Charged for an event beside its texts: what is the same in all of them, and the record's own."""

_CROWDED = 7 / 8
"""From this share of the room on, an update joins one of its session that still waits."""


def charged(fields: dict[str, Any]) -> int:
    """Return what an update with these values is charged with."""
    size = EVENT_BYTES
    for value in fields.values():
        if type(value) is str:
            size += len(value)
        elif type(value) is list:
            size += len(value) + sum(map(len, value))
    return size


@dataclass(slots=True)
class Settled:
    """What one round of the sender has settled, in calls where it does not say otherwise."""

    delivered: int = 0
    dropped: int = 0
    spooled: int = 0
    """Written to disk; no longer in memory."""
    unspooled: int = 0
    """Delivered from the disk."""
    lost_on_disk: int = 0
    """Was on the disk and is given up."""
    events: int = 0
    """Events that left the memory."""
    bytes: int = 0
    """Bytes that these were charged with."""
    adopted_waiting: int = 0
    adopted_delivered: int = 0


class Inbox:
    """The queue from the workers' threads to the sender, bounded by events and bytes. Thread-safe.

    Re-entrant: a finalizer or a signal handler may call in while a call is under way. The bound in
    bytes is a soft one: what several threads add in the same moment may be counted once.
    """

    def __init__(self, configuration: Configuration, accept: Callable[[Session], Session]) -> None:
        self.lock = threading.RLock()
        self._accept = accept
        self._updates: deque[Update] = deque()
        self._append = self._updates.append
        self._most = configuration.queue_events
        self._most_bytes = configuration.queue_kilobytes * 1024
        self._crowded = int(self._most * _CROWDED)
        self._crowded_bytes = int(self._most_bytes * _CROWDED)
        self._block_seconds = (
            configuration.block_seconds if configuration.on_full == "block" else 0.0
        )
        # Taken by the sender and not settled: events, and what they are charged with.
        self._held = self._held_bytes = 0
        # What calls compare with: how many updates may lie here, and the sum of all bytes put.
        self._room = self._crowded
        self._put_bytes = 0
        self._taken_bytes = 0
        self._bytes_limit = self._crowded_bytes
        # In calls, each counted by itself; what lies here is added when they are read.
        self._accepted = self._in_flight = 0
        self._delivered = self._dropped = self._spooled = self._coalesced = 0
        self._adopted_waiting = self._adopted_delivered = 0
        self._joined = 0
        self._skipped = 0
        self._closed = self._finished = False
        self._asleep = False
        self._wake = threading.Lock()
        self._wake.acquire()
        self._taken = 0
        # One plain lock for each wait; a set, since nothing can come between its single steps.
        self._waits: set[threading.Lock] = set()
        self.sender_thread = 0
        self.rounds = 0
        """How many rounds of the sender are in the books."""

    def put(
        self,
        session: Session,
        fields: dict[str, Any],
        size: int,
        urgent: bool = False,
    ) -> None:
        """Leave an update of ``session`` with these checked values. Never waits for the network.

        Args:
            fields: values by field name; the inbox's from now on.
            size: what it is charged with: ``EVENT_BYTES`` and the lengths of its texts.
            urgent: may use the room that is kept for ``init`` and ``end``, and joins no other.

        Raises:
            ClosedError: after :meth:`close`.
        """
        update = [session, fields, time_ns() // 1000, 1, size]
        if (
            session.inbox is not self
            or len(self._updates) >= self._room
            or self._put_bytes >= self._bytes_limit
            or self._closed
        ):
            self._put_carefully(update, urgent)
            return
        self._put_bytes += size
        # In one go: no other thread can come between these two, which call nothing before.
        session.waiting = None
        self._append(update)
        if self._asleep:
            self._awaken()
        if self._closed:
            self._retract(update)

    def take(self, most: int, most_bytes: int) -> tuple[list[Update], int]:
        """Return the oldest updates, and how many were dropped here since the last time.

        Args:
            most: how many at most.
            most_bytes: how many bytes they may be charged with, all but the last.
        """
        taken: list[Update] = []
        size = calls = 0
        with self.lock:
            updates = self._updates
            while updates and len(taken) < most and size < most_bytes:
                update = updates.popleft()
                taken.append(update)
                size += update[4]
                calls += update[3]
                session = update[0]
                session.accepted += update[3]
                if session.waiting is update:
                    session.waiting = None
            self._taken += len(taken)
            self._taken_bytes += size
            self._accepted += calls
            self._in_flight += calls
            self._joined -= calls - len(taken)
            self._held += len(taken)
            self._held_bytes += size
            self._set_limits()
            skipped, self._skipped = self._skipped, 0
        return taken, skipped

    def settle(self, settled: Settled) -> None:
        """Enter what a round has settled, and wake those who wait for it."""
        with self.lock:
            self._delivered += settled.delivered + settled.unspooled
            self._dropped += settled.dropped + settled.lost_on_disk
            self._spooled += settled.spooled - settled.unspooled - settled.lost_on_disk
            self._in_flight -= settled.delivered + settled.dropped + settled.spooled
            self._held -= settled.events
            self._held_bytes -= settled.bytes
            self._set_limits()
            self._adopted_waiting += settled.adopted_waiting
            self._adopted_delivered += settled.adopted_delivered
            self.rounds += 1
        self._tell_waiters()

    def stats(self, texts_cut: int, texts_repaired: int) -> Stats:
        """Read the books at one moment."""
        with self.lock:
            waiting = len(self._updates) + self._joined
            return Stats(
                accepted=self._accepted + waiting,
                delivered=self._delivered,
                spooled=self._spooled,
                dropped=self._dropped,
                in_flight=self._in_flight + waiting,
                coalesced=self._coalesced,
                texts_cut=texts_cut,
                texts_repaired=texts_repaired,
                adopted_waiting=self._adopted_waiting,
                adopted_delivered=self._adopted_delivered,
            )

    def close(self) -> bool:
        """Accept nothing more; return whether it did until now."""
        with self.lock:
            was_open, self._closed = not self._closed, True
        self._tell_waiters()
        self._awaken()
        return was_open

    def finish(self) -> bool:
        """After :meth:`close`: say that nothing more is taken, if nothing lies here."""
        with self.lock:
            self._finished = not self._updates
            return self._finished

    def wait_for(self, reached: Callable[[], bool], timeout_seconds: float) -> bool:
        """Wait until ``reached`` holds after some round; return whether it does."""
        told = threading.Lock()
        told.acquire()
        ends = monotonic() + timeout_seconds
        try:
            self._waits.add(told)
            self._awaken()
            while not reached():
                left = ends - monotonic()
                if left <= 0:
                    return False
                told.acquire(timeout=left)
            return True
        finally:
            self._waits.discard(told)

    def sleep(self, seconds: float, *, lightly: bool) -> None:
        """Let the sender's thread sleep; ``lightly`` until an update comes, else until called."""
        # A call that came while nobody slept is forgotten; what it was for is looked at below.
        self._wake.acquire(blocking=False)
        self._asleep = lightly
        if not (self._waits or self._closed or (lightly and self._updates)):
            self._wake.acquire(timeout=seconds)
        self._asleep = False

    def is_locked_here(self) -> bool:
        """Say whether this very thread is within a call that has the lock: in a signal handler."""
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]  # noqa: SLF001

    @property
    def waiters(self) -> int:
        """How many calls wait for something to be settled."""
        return len(self._waits)

    @property
    def put_so_far(self) -> int:
        """How many updates were ever left here, in their order."""
        with self.lock:
            return self._taken + len(self._updates)

    @property
    def taken_so_far(self) -> int:
        """How many of them were taken."""
        return self._taken

    @property
    def is_empty(self) -> bool:
        """Whether no update waits here."""
        return not self._updates

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is accepted."""
        return self._closed

    def _awaken(self) -> None:
        self._asleep = False
        with suppress(RuntimeError):  # it was called already
            self._wake.release()

    def _set_limits(self) -> None:
        self._room = self._crowded - self._held
        self._bytes_limit = self._taken_bytes + self._crowded_bytes - self._held_bytes

    def _tell_waiters(self) -> None:
        for told in list(self._waits):
            with suppress(RuntimeError):  # it was told already
                told.release()

    def _put_carefully(self, update: Update, urgent: bool) -> None:
        """Put the first update of a session, or one for which there may be no room."""
        if self._found_a_place(update, urgent):
            return
        # The sender's own thread (a callback, a log handler) would wait for itself.
        blocks = threading.get_ident() != self.sender_thread
        ends = monotonic() + (self._block_seconds if blocks else 0.0)
        while (left := ends - monotonic()) > 0:
            self.wait_for(lambda: self._closed or self._has_room(urgent), left)
            if self._found_a_place(update, urgent):
                return
        self._drop(update[0])

    def _found_a_place(self, update: Update, urgent: bool) -> bool:
        session, _, _, _, size = update
        with self.lock:
            if session.inbox is not self:
                session = update[0] = self._accept(session)
            if self._closed:
                raise ClosedError
            if self._is_crowded():
                if not urgent and session.waiting is not None:
                    self._join(session.waiting, update)
                    return True
                if not self._has_room(urgent):
                    return False
            self._put_bytes += size
            session.waiting = update
            self._append(update)
        self._awaken()
        return True

    def _drop(self, session: Session) -> None:
        with self.lock:
            session.lost += 1
            session.client.owes(session)
            self._accepted += 1
            self._dropped += 1
            self._skipped += 1

    def _retract(self, update: Update) -> None:
        """Take back an update that came while the inbox was closed, if nobody takes it any more.

        Raises:
            ClosedError: when it was taken back.
        """
        with self.lock:
            if self._finished and update in self._updates:
                self._updates.remove(update)
                raise ClosedError

    def _is_crowded(self) -> bool:
        return len(self._updates) >= self._room or self._put_bytes >= self._bytes_limit

    def _has_room(self, urgent: bool) -> bool:
        events = len(self._updates) + self._held
        if urgent:
            return events < self._most + RESERVED_EVENTS
        waiting_bytes = self._put_bytes - self._taken_bytes + self._held_bytes
        return events < self._most and waiting_bytes < self._most_bytes

    def _join(self, waiting: Update, update: Update) -> None:
        """Let an update be carried by an earlier one of its session, which nothing has followed."""
        merged = {**waiting[1], **update[1]}
        grown = charged(merged) - waiting[4]
        # From here on nothing is called: no signal can come between.
        waiting[1] = merged
        waiting[2] = update[2]
        waiting[3] += 1
        waiting[4] += grown
        self._put_bytes += grown
        self._joined += 1
        self._coalesced += 1
