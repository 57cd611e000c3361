"""Where calls leave their updates, and the books on what became of them.

The one lock that a worker's call takes is here. It is held for a few comparisons and an append, and
never while anything is encoded, logged, written or sent.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from time import time_ns
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
    return EVENT_BYTES + sum(len(value) for value in fields.values() if type(value) is str)


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

    Re-entrant: a finalizer or a signal handler may call in while a call is under way.
    """

    def __init__(self, configuration: Configuration, accept: Callable[[Session], None]) -> None:
        self.lock = threading.RLock()
        self._changed = threading.Condition(self.lock)
        self._accept = accept
        self._updates: deque[Update] = deque()
        self._most = configuration.queue_events
        self._most_bytes = configuration.queue_kilobytes * 1024
        self._crowded = int(self._most * _CROWDED)
        self._crowded_bytes = int(self._most_bytes * _CROWDED)
        self._block_seconds = (
            configuration.block_seconds if configuration.on_full == "block" else 0.0
        )
        # Events and bytes in memory: here, or handed to the publisher and not settled.
        self._held = self._held_bytes = 0
        # In calls, each counted by itself.
        self._accepted = self._in_flight = 0
        self._delivered = self._dropped = self._spooled = self._coalesced = 0
        self._adopted_waiting = self._adopted_delivered = 0
        self._skipped = 0
        self._closed = False
        self._asleep = False
        self._wake = threading.Lock()
        self._wake.acquire()
        self.waiters = 0
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
        with self.lock:
            if session.inbox is not self:
                self._accept(session)
            if self._closed:
                raise ClosedError
            self._accepted += 1
            session.accepted += 1
            if (
                self._held >= self._crowded or self._held_bytes >= self._crowded_bytes
            ) and not self._find_room(update, urgent):
                return
            self._in_flight += 1
            self._held += 1
            self._held_bytes += size
            session.waiting = update
            self._updates.append(update)
            if self._asleep:
                self._awaken()

    def take(self, most: int, most_bytes: int) -> tuple[list[Update], int]:
        """Return the oldest updates, and how many were dropped here since the last time.

        Args:
            most: how many at most.
            most_bytes: how many bytes they may be charged with, all but the last.
        """
        taken: list[Update] = []
        with self.lock:
            updates = self._updates
            while updates and len(taken) < most and most_bytes > 0:
                update = updates.popleft()
                taken.append(update)
                most_bytes -= update[4]
                if update[0].waiting is update:
                    update[0].waiting = None
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
            self._adopted_waiting += settled.adopted_waiting
            self._adopted_delivered += settled.adopted_delivered
            self.rounds += 1
            self._changed.notify_all()

    def stats(self, texts_cut: int, texts_repaired: int) -> Stats:
        """Read the books at one moment."""
        with self.lock:
            return Stats(
                accepted=self._accepted,
                delivered=self._delivered,
                spooled=self._spooled,
                dropped=self._dropped,
                in_flight=self._in_flight,
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
            self._changed.notify_all()
            return was_open

    def wait_for(self, reached: Callable[[], bool], timeout_seconds: float) -> bool:
        """Wait until ``reached`` holds after some round; return whether it does."""
        with self.lock:
            self.waiters += 1
            self._awaken()
            try:
                return self._changed.wait_for(reached, timeout_seconds)
            finally:
                self.waiters -= 1

    def sleep(self, seconds: float, *, lightly: bool) -> None:
        """Let the sender's thread sleep; ``lightly`` until an update comes, else until called."""
        with self.lock:
            if self.waiters or self._closed or (lightly and self._updates):
                return
            self._asleep = lightly
            # A call that came while nobody slept is forgotten; what it was for has been seen.
            self._wake.acquire(blocking=False)
        self._wake.acquire(timeout=seconds)
        self._asleep = False

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

    def _find_room(self, update: Update, urgent: bool) -> bool:
        """Say whether ``update`` is to be appended; else it has joined another, or is dropped."""
        session = update[0]
        if not urgent and session.waiting is not None:
            self._join(session.waiting, update)
            return False
        if self._has_room(urgent) or self._waited_for_room(urgent):
            return True
        session.accepted -= 1  # nobody is to wait for it
        session.lost += 1
        session.client.owes(session)
        self._dropped += 1
        self._skipped += 1
        return False

    def _has_room(self, urgent: bool) -> bool:
        if urgent:
            return self._held < self._most + RESERVED_EVENTS
        return self._held < self._most and self._held_bytes < self._most_bytes

    def _waited_for_room(self, urgent: bool) -> bool:
        if not self._block_seconds:
            return False
        return self.wait_for(lambda: self._has_room(urgent), self._block_seconds)

    def _join(self, waiting: Update, update: Update) -> None:
        """Let an update be carried by an earlier one of its session, which nothing has followed."""
        waiting[1].update(update[1])
        waiting[2] = update[2]
        waiting[3] += 1
        waiting[4] += update[4]
        self._in_flight += 1
        self._held_bytes += update[4]
        self._coalesced += 1
