"""A log in memory, and a source of it: for tests, and for trying a fold without a broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import LogTruncatedError
from ..records import Headers, RecordBatch
from .protocol import Changes, Fetched, Watermarks


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryRecord:
    """What a :class:`MemoryLog` holds at one offset; ``timestamp`` in milliseconds."""

    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Headers


class MemoryLog:
    """A topic's records, by partition. Append at any time; ``truncate`` as retention would."""

    def __init__(self, partition_count: int) -> None:
        self.partitions: list[list[MemoryRecord | None]] = [[] for _ in range(partition_count)]
        self.low = [0] * partition_count

    def append(
        self, partition: int, key: bytes | None, value: bytes | None, headers: Headers = ()
    ) -> None:
        """Append one record; its timestamp is its offset."""
        offset = len(self.partitions[partition])
        record = MemoryRecord(timestamp=offset, key=key, value=value, headers=headers)
        self.partitions[partition].append(record)

    def mark(self, partition: int) -> None:
        """Take up an offset without a record, as the end of a transaction does."""
        self.partitions[partition].append(None)

    def truncate(self, partition: int, low: int) -> None:
        """Delete the records before offset ``low``."""
        self.low[partition] = low


class MemorySource:
    """Reads a :class:`MemoryLog`; see :class:`Source` for the behaviour. It never waits.

    Args:
        log: what to read.
        assigned: the partitions that it is given; None is all.
    """

    def __init__(self, log: MemoryLog, assigned: Sequence[int] | None = None) -> None:
        self._log = log
        every = range(len(log.partitions))
        self._assigned = list(every if assigned is None else assigned)
        self._own = {*self._assigned}
        self._revoked: list[int] = []
        self._cursors: dict[int, int] = {}
        self._paused: set[int] = set()
        self.acknowledged: dict[int, int] = {}

    def changes(self) -> Changes:
        """Return what :meth:`give` and :meth:`take` changed since the last call."""
        changes = Changes(assigned=self._assigned, revoked=self._revoked)
        self._assigned, self._revoked = [], []
        return changes

    def give(self, partitions: Sequence[int]) -> None:
        """Assign partitions, as a group would."""
        self._assigned += partitions
        self._own |= {*partitions}

    def take(self, partitions: Sequence[int]) -> None:
        """Revoke partitions, as a group would; their records stop."""
        for partition in partitions:
            self._cursors.pop(partition, None)
        self._assigned = [each for each in self._assigned if each not in partitions]
        self._revoked += partitions
        self._own -= {*partitions}

    def watermarks(self, partition: int) -> Watermarks:
        """Return a partition's watermarks."""
        return Watermarks(low=self._log.low[partition], high=len(self._log.partitions[partition]))

    def start(self, next_offsets: Mapping[int, int]) -> None:
        """Read from these offsets on."""
        self._cursors |= next_offsets
        self._paused -= set(next_offsets)

    def pause(self, partitions: Sequence[int]) -> None:
        """Read no more of these partitions."""
        self._paused |= set(partitions)

    def fetch(
        self,
        max_records: int,
        timeout_seconds: float = 0,  # noqa: ARG002
        is_wanted: Callable[[], bool] = lambda: False,  # noqa: ARG002
    ) -> Fetched:
        """Return the next records, one partition after the other."""
        found: list[tuple[int, int, MemoryRecord]] = []
        ends = {}
        for partition in sorted(self._cursors.keys() - self._paused):
            found += self._read(partition, max_records - len(found))
            cursor = self._cursors[partition]
            if cursor == len(self._log.partitions[partition]):
                ends[partition] = cursor
        return Fetched(batch=_batch(found), ends=ends)

    def idle(self, timeout_seconds: float) -> None:
        """Do nothing."""

    def renew(self) -> None:
        """Take all partitions, and give again those that are this source's own."""
        own = [*self._own]
        self.take(own)
        self.give(own)

    def known_ends(self) -> dict[int, int]:
        """Return the high watermarks of what is being read."""
        return {partition: self.watermarks(partition).high for partition in self._cursors}

    def acknowledge(self, next_offsets: Mapping[int, int]) -> None:
        """Remember what was acknowledged."""
        self.acknowledged |= next_offsets

    def close(self) -> None:
        """Do nothing."""

    def _read(self, partition: int, room: int) -> list[tuple[int, int, MemoryRecord]]:
        cursor, marks = self._cursors[partition], self.watermarks(partition)
        if not marks.low <= cursor <= marks.high:
            raise LogTruncatedError("memory", partition, cursor, marks.low, marks.high)
        found: list[tuple[int, int, MemoryRecord]] = []
        while cursor < marks.high and len(found) < room:
            record = self._log.partitions[partition][cursor]
            if record is not None:
                found.append((partition, cursor, record))
            cursor += 1
        self._cursors[partition] = cursor
        return found


def _batch(found: Sequence[tuple[int, int, MemoryRecord]]) -> RecordBatch:
    return RecordBatch(
        partitions=[partition for partition, _, _ in found],
        offsets=[offset for _, offset, _ in found],
        timestamps=[record.timestamp for _, _, record in found],
        keys=[record.key for _, _, record in found],
        values=[record.value for _, _, record in found],
        headers=lambda place: found[place][2].headers,
    )
