"""A log in memory, and a source of it: for tests, and for trying a fold without a broker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..errors import LogTruncatedError
from ..records import RecordBatch
from .protocol import Changes, Fetched, Watermarks

MemoryRecord = tuple[bytes | None, bytes | None]
"""Key and value; a record's offset is its place in the partition, its timestamp that, too."""


class MemoryLog:
    """A topic's records, by partition. Append at any time; ``truncate`` as retention would."""

    def __init__(self, partition_count: int) -> None:
        self.partitions: list[list[MemoryRecord]] = [[] for _ in range(partition_count)]
        self.low = [0] * partition_count

    def append(self, partition: int, key: bytes | None, value: bytes | None) -> None:
        """Append one record."""
        self.partitions[partition].append((key, value))

    def truncate(self, partition: int, low: int) -> None:
        """Delete the records before offset ``low``."""
        self.low[partition] = low


class MemorySource:
    """Reads a :class:`MemoryLog`; see :class:`Source` for the behaviour.

    Args:
        log: what to read.
        assigned: the partitions that it is given; None is all.
    """

    def __init__(self, log: MemoryLog, assigned: Sequence[int] | None = None) -> None:
        self._log = log
        every = range(len(log.partitions))
        self._changes = Changes(assigned=list(every if assigned is None else assigned))
        self._cursors: dict[int, int] = {}
        self.acknowledged: dict[int, int] = {}

    def changes(self) -> Changes:
        """Return what :meth:`give` and :meth:`take` changed since the last call."""
        changes, self._changes = self._changes, Changes()
        return changes

    def give(self, partitions: Sequence[int]) -> None:
        """Assign partitions, as a group would."""
        self._changes = Changes(assigned=list(partitions))

    def take(self, partitions: Sequence[int]) -> None:
        """Revoke partitions, as a group would; their records stop."""
        self.pause(partitions)
        self._changes = Changes(revoked=list(partitions))

    def watermarks(self, partition: int) -> Watermarks:
        """Return a partition's watermarks."""
        return Watermarks(low=self._log.low[partition], high=len(self._log.partitions[partition]))

    def start(self, next_offsets: Mapping[int, int]) -> None:
        """Read from these offsets on."""
        self._cursors |= next_offsets

    def pause(self, partitions: Sequence[int]) -> None:
        """Read no more of these partitions."""
        for partition in partitions:
            self._cursors.pop(partition, None)

    def fetch(self, max_records: int, timeout_seconds: float) -> Fetched:  # noqa: ARG002
        """Return the next records, one partition after the other."""
        batch = RecordBatch(partitions=[], offsets=[], timestamps=[], keys=[], values=[])
        ends = {}
        for partition in sorted(self._cursors):
            self._read(partition, max_records - len(batch), batch)
            cursor = self._cursors[partition]
            if cursor == len(self._log.partitions[partition]):
                ends[partition] = cursor
        return Fetched(batch=batch, ends=ends)

    def known_ends(self) -> dict[int, int]:
        """Return the high watermarks of what is being read."""
        return {partition: self.watermarks(partition).high for partition in self._cursors}

    def acknowledge(self, next_offsets: Mapping[int, int]) -> None:
        """Remember what was acknowledged."""
        self.acknowledged |= next_offsets

    def close(self) -> None:
        """Do nothing."""

    def _read(self, partition: int, room: int, batch: RecordBatch) -> None:
        start, marks = self._cursors[partition], self.watermarks(partition)
        if not marks.low <= start <= marks.high:
            raise LogTruncatedError("memory", partition, start, marks.low, marks.high)
        for offset in range(start, min(start + room, marks.high)):
            key, value = self._log.partitions[partition][offset]
            batch.partitions.append(partition)
            batch.offsets.append(offset)
            batch.timestamps.append(offset)
            batch.keys.append(key)
            batch.values.append(value)
            self._cursors[partition] = offset + 1
