"""The log between two offsets of each partition, read to its end or not at all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ..errors import ConsumerError, LogTruncatedError
from ..records import RecordBatch
from ..source import Fetched, Source, Watermarks
from ..store import Gap

FETCH_RECORDS = 10_000
_FETCH_SECONDS = 0.2
_SILENT_SECONDS = 10.0


class LogStartMissingError(LogTruncatedError):
    """Raised when the log no longer has records that the store was folded from."""

    def __init__(self, partition: int, first: int, last: int) -> None:
        ConsumerError.__init__(
            self,
            f"the store cannot be verified: offsets {first} to {last} of partition {partition} "
            "were folded into it, and the log no longer has them; see why with: sessionfold topic "
            "check",
        )


class Span(NamedTuple):
    """A partition's offsets from ``begin`` to before ``end``."""

    begin: int
    end: int


def span(partition: int, begin: int, end: int, low: int, gaps: Sequence[Gap]) -> Span:
    """Return what there is to read of a partition.

    Args:
        partition: which.
        begin: the first offset that was not read yet.
        end: the offset to stop before.
        low: the log's first offset.
        gaps: the gaps of this partition that the store has on record, in order.

    Raises:
        LogStartMissingError: when the log misses an offset that is in no gap.
    """
    place = begin
    for gap in gaps:
        if gap.first <= place < gap.end:
            place = gap.end
    there = min([low, end, *(gap.first for gap in gaps if gap.first > place)])
    if place < there:
        raise LogStartMissingError(partition, place, there - 1)
    return Span(max(begin, low), end)


def reaching(source: Source, partition: int, wanted: int, settle_seconds: float) -> Watermarks:
    """Return a partition's watermarks; wait a little for the high one to be ``wanted``.

    A leader that has just been elected may not know yet how far the log is replicated.
    """
    deadline = time.monotonic() + settle_seconds
    while (marks := source.watermarks(partition)).high < wanted and time.monotonic() < deadline:
        time.sleep(_FETCH_SECONDS)
    return marks


class LogReader:
    """Reads spans of a log once, by a source that was just made for their partitions.

    ``short`` has, after the reading, the partitions whose log ended before their span, and where:
    what lies behind an unfinished transaction is not there for a reader.
    """

    def __init__(self, source: Source, spans: Mapping[int, Span]) -> None:
        self._source = source
        self._unread = dict(spans)
        self._last_ends: dict[int, int] = {}
        self._heard = time.monotonic()
        self.short: dict[int, int] = {}

    def batches(self) -> Iterator[RecordBatch]:
        """Yield the records of the spans; each partition's in log order.

        Raises:
            LogTruncatedError: when the log lost a part of them since it was asked for its start.
            BrokerUnreachableError: when no broker answers any more.
        """
        if not self._unread:
            return
        self._source.changes()
        self._source.start({partition: each.begin for partition, each in self._unread.items()})
        while self._unread:
            fetched = self._source.fetch(FETCH_RECORDS, _FETCH_SECONDS)
            batch = self._within(fetched.batch)
            if len(batch):
                yield batch
            self._finish(fetched)
            if len(batch) or fetched.ends:
                self._heard = time.monotonic()
            elif time.monotonic() - self._heard > _SILENT_SECONDS:
                self._end_silence()

    def _within(self, batch: RecordBatch) -> RecordBatch:
        """Drop what lies behind a span's end; mostly there is nothing to drop."""
        unread = self._unread
        places = enumerate(zip(batch.partitions, batch.offsets, strict=True))
        wanted = [i for i, (p, offset) in places if p in unread and offset < unread[p].end]
        return batch if len(wanted) == len(batch) else batch.select(wanted)

    def _finish(self, fetched: Fetched) -> None:
        """Fetch no more of what is read to its end."""
        self._last_ends |= fetched.ends
        reached = dict(zip(fetched.batch.partitions, fetched.batch.offsets, strict=True))
        for partition, each in [*self._unread.items()]:
            next_offset = max(reached.get(partition, -1) + 1, fetched.ends.get(partition, 0))
            if next_offset >= each.end:
                self._drop(partition)

    def _end_silence(self) -> None:
        """Ask whether a broker is there at all; give up what ends before its span does."""
        self._heard = time.monotonic()
        self._source.watermarks(next(iter(self._unread)))
        for partition in self._unread.keys() & self._last_ends.keys():
            self.short[partition] = self._last_ends[partition]
            self._drop(partition)

    def _drop(self, partition: int) -> None:
        del self._unread[partition]
        self._source.pause([partition])
