"""How far the store is behind the log: in records, in seconds, and since when it does not move.

Where the log ends is known twice: as the service's own client last heard it, and as the broker says
when it is asked (see :mod:`head`). The later of the two counts, so that a client that hears nothing
any more cannot make the lag look like none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .commit import Commit
from .observer import Observer, Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where the store is in one partition."""

    partition: int
    next_offset: int
    end: int
    """The offset that the partition's next record will have."""
    still_seconds: float
    """How long it has been behind at this offset; 0 when it is not behind."""

    @property
    def lag(self) -> int:
        """Records that are in the log and not yet in the store."""
        return max(0, self.end - self.next_offset)


@dataclass(kw_only=True, slots=True)
class _Held:
    """What is known of one partition; ``oldest`` and ``clear`` are times that no record is before.

    Of the records that are not stored yet: ``oldest`` is when those were appended that were stored
    last, ``clear`` when the broker was asked, the last time that its answer was no later offset.
    """

    since: float
    next_offset: int
    end: int
    oldest: float = 0.0
    clear: float = 0.0
    behind_since: float | None = None


class Lag(Observer):
    """Compares positions with the log's ends. May be asked from any thread.

    Args:
        clock: seconds that never run backwards.
        wall: seconds since the epoch, as records are stamped.
    """

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._lock = threading.Lock()
        self._held: dict[int, _Held] = {}
        self._head: Mapping[int, int] = {}
        self._head_asked = 0.0
        self._head_told: float | None = None

    def progressed(self, progress: Progress) -> None:
        """Take positions, and the log's ends as the service's client heard them."""
        with self._lock:
            for partition in self._held.keys() - progress.next_offsets.keys():
                del self._held[partition]
            for partition, next_offset in progress.next_offsets.items():
                end = progress.ends.get(partition, next_offset)
                held = self._held.get(partition)
                if held is None:
                    held = _Held(since=self._wall(), next_offset=next_offset, end=end)
                    self._held[partition] = held
                elif held.next_offset != next_offset:
                    held.behind_since = None
                held.next_offset, held.end = next_offset, end
                self._compare(partition, held)

    def committed(self, commit: Commit) -> None:
        """Take how old the records are that were stored."""
        if commit.timestamps is None or commit.timestamps[0] <= 0:
            return
        with self._lock:
            for advance in commit.advances:
                held = self._held.get(advance.position.partition)
                if held is not None:
                    held.oldest = commit.timestamps[0] / 1000

    def told(self, ends: Mapping[int, int], asked: float) -> None:
        """Take where the log ends, from the broker itself.

        Args:
            ends: for some partitions the offset that the next record will have.
            asked: when it was asked, in seconds since the epoch.
        """
        with self._lock:
            self._head, self._head_asked, self._head_told = ends, asked, self._clock()
            for partition, held in self._held.items():
                self._compare(partition, held)

    def places(self) -> list[Place]:
        """Return where the store is in each partition that this process holds."""
        with self._lock:
            now = self._clock()
            return [
                Place(
                    partition=partition,
                    next_offset=held.next_offset,
                    end=self._end(partition, held),
                    still_seconds=0.0 if held.behind_since is None else now - held.behind_since,
                )
                for partition, held in sorted(self._held.items())
            ]

    def partitions(self) -> list[int]:
        """Return the partitions that this process holds."""
        with self._lock:
            return sorted(self._held)

    def seconds(self) -> float:
        """Return how old the oldest record that is not stored can be at most; 0 for none.

        Of a partition that nothing was stored of, and whose end never was reached, it is how long
        this process has held it.
        """
        with self._lock:
            since = [
                max(held.oldest, held.clear) or held.since
                for held in self._held.values()
                if held.behind_since is not None
            ]
            return max(0.0, self._wall() - min(since)) if since else 0.0

    def head_seconds(self) -> float | None:
        """Return how long ago the broker said where the log ends; None when it never did."""
        with self._lock:
            return None if self._head_told is None else self._clock() - self._head_told

    def _end(self, partition: int, held: _Held) -> int:
        return max(held.end, self._head.get(partition, 0))

    def _compare(self, partition: int, held: _Held) -> None:
        head = self._head.get(partition)
        if head is not None and held.next_offset >= head:
            # What the log got since then was appended later than the question.
            held.clear = self._head_asked
        if held.next_offset >= self._end(partition, held):
            held.behind_since = None
        elif held.behind_since is None:
            held.behind_since = self._clock()
