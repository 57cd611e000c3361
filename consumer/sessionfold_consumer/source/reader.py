"""The log between two offsets of each partition, read to its end or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ..errors import LogCutError, LogTruncatedError
from ..records import RecordBatch
from .protocol import Fetched, Source, Watermarks

SourceFactory = Callable[[Sequence[int]], Source]
"""Makes a source of the log that reads these partitions, without a group."""

_FETCH_RECORDS = 10_000
_FETCH_SECONDS = 0.2
_SILENT_SECONDS = 10.0

SETTLE_SECONDS = 10.0
"""How long a log that ends before an offset is waited for: a new leader may not know its end."""


class Span(NamedTuple):
    """A partition's offsets from ``begin`` to before ``end``."""

    begin: int
    end: int


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
        self._left = sum(each.end - each.begin for each in spans.values())
        self._last_ends: dict[int, int] = {}
        self._heard = time.monotonic()
        self.short: dict[int, int] = {}

    def batches(self) -> Iterator[RecordBatch]:
        """Yield the records of the spans; each partition's in log order.

        Raises:
            LogCutError: when the log lost a part of them since it was asked for its start.
            BrokerUnreachableError: when no broker answers any more.
        """
        if not self._unread:
            return
        self._source.changes()
        self._source.start({partition: each.begin for partition, each in self._unread.items()})
        while self._unread:
            # No more than there can be: for those a source would wait.
            fetched = self._fetch(max(1, min(_FETCH_RECORDS, self._left)))
            batch = self._within(fetched.batch)
            self._left -= len(batch)
            if len(batch):
                yield batch
            self._finish(fetched)
            if len(batch) or fetched.ends:
                self._heard = time.monotonic()
            elif time.monotonic() - self._heard > _SILENT_SECONDS:
                self._end_silence()

    def _fetch(self, max_records: int) -> Fetched:
        try:
            return self._source.fetch(max_records, _FETCH_SECONDS)
        except LogTruncatedError as error:
            raise LogCutError from error

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
