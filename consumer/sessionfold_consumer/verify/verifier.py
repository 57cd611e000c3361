"""The check: what a store says at one moment, and the fold of its log up to the same positions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import closing

from ..errors import LogTruncatedError
from ..observer import Progress
from ..source import SETTLE_SECONDS, LogReader, Source, SourceFactory, Span, reaching
from ..store import SessionStore
from .compare import compare_letters, compare_states
from .log import span
from .prefix import Prefix
from .report import Difference, Findings, Report
from .stored import Stored, read_store

MAX_DIFFERENCES = 100
"""How many differences a report holds; it counts all of them."""


class Verifier:
    """Compares a store with the fold of its log, once or again and again.

    It keeps the fold that it has reached, and reads on from there at the next check: so it follows
    a service through many restarts, and the log need not keep its start meanwhile. Memory is
    proportional to the sessions and the dead letters. The store may be written to while it is
    checked. Belongs to one thread.

    Args:
        open_source: makes a source for one check.
        max_differences: how many of them a report holds.
        on_progress: called after each batch of records.
        settle_seconds: how long to wait for a log that ends before a position.
    """

    def __init__(
        self,
        open_source: SourceFactory,
        *,
        max_differences: int = MAX_DIFFERENCES,
        on_progress: Callable[[Progress], None] = lambda _: None,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._open_source = open_source
        self._max_differences = max_differences
        self._on_progress = on_progress
        self._settle_seconds = settle_seconds
        self._prefix: Prefix | None = None

    def check(self, store: SessionStore) -> Report:
        """Say whether the store is the fold of its log, up to the positions that it has now.

        Raises:
            LogStartMissingError: when the log no longer has what the store was folded from.
            BrokerUnreachableError: when no broker answers; a later check goes on from there.
        """
        began = time.perf_counter()
        findings = Findings(self._max_differences)
        stored = read_store(store, self._prefix.waiting() if self._prefix else ())
        self._prefix = prefix = self._followed(stored, findings)
        prefix.follow(stored)
        read_before = prefix.records
        _compare_positions(stored, findings)
        self._read(prefix, stored, findings)
        prefix.fold_retried(stored)
        for partition, offset in prefix.passed_over:
            findings.add(_passed_over(partition, offset))
        compare_states(prefix.fold, stored.states, findings)
        compare_letters(prefix.asides, stored.letters, findings)
        return Report(
            positions={p: each.next_offset for p, each in sorted(stored.positions.items())},
            records=prefix.records,
            sessions=len(prefix.fold),
            dead_letters=len(stored.letters),
            records_read=prefix.records - read_before,
            seconds=time.perf_counter() - began,
            notes=findings.notes,
            differences=findings.differences,
            difference_count=findings.difference_count,
        )

    def _followed(self, stored: Stored, findings: Findings) -> Prefix:
        """Return the prefix to go on from: the one there is, or an empty one."""
        if stored.identity is None:
            findings.note("unbound", "no service has run on this store yet")
        for gap in stored.gaps:
            findings.note(
                "gap",
                f"offsets {gap.first} to {gap.end - 1} of partition {gap.partition} were deleted "
                "from the log before they were folded, and accepted as lost",
            )
        if self._prefix is None:
            return Prefix(stored)
        went_back = self._prefix.went_back(stored)
        for partition, (reached, next_offset) in went_back.items():
            findings.note(
                "went_back",
                f"the position of partition {partition} went back from {reached} to {next_offset} "
                "since the last check",
            )
        obstacle = self._prefix.obstacle(stored)
        if obstacle is not None:
            findings.note("anew", f"the log was folded from its start again, since {obstacle}")
        return Prefix(stored) if went_back or obstacle else self._prefix

    def _read(self, prefix: Prefix, stored: Stored, findings: Findings) -> None:
        """Fold what lies between what was reached and the positions."""
        with closing(self._open_source(_partitions(stored))) as source:
            spans = self._spans(source, prefix, stored, findings)
            reader = LogReader(
                source, {p: each for p, each in spans.items() if each.begin < each.end}
            )
            started = prefix.records
            try:
                for batch in reader.batches():
                    prefix.take(batch, stored)
                    self._tell(prefix, started, spans)
            except LogTruncatedError:
                self._spans(source, prefix, stored, findings)  # raises what is missing
                raise
        for partition, end in reader.short.items():
            findings.add(_beyond(partition, stored.positions[partition].next_offset, end))
        prefix.reach({p: reader.short.get(p, each.end) for p, each in spans.items()})

    def _spans(
        self, source: Source, prefix: Prefix, stored: Stored, findings: Findings
    ) -> dict[int, Span]:
        """Return what is to be read of each partition, and note positions that no log has."""
        spans = {}
        for partition in _partitions(stored):
            position = stored.positions[partition]
            marks = reaching(source, partition, position.next_offset, self._settle_seconds)
            if marks.high < position.next_offset:
                findings.add(_beyond(partition, position.next_offset, marks.high))
            gaps = [gap for gap in stored.gaps if gap.partition == partition]
            end = min(position.next_offset, marks.high)
            spans[partition] = span(partition, prefix.reached[partition], end, marks.low, gaps)
        return spans

    def _tell(self, prefix: Prefix, started: int, spans: Mapping[int, Span]) -> None:
        self._on_progress(
            Progress(
                records=prefix.records - started,
                dead_letters=len(prefix.asides),
                next_offsets=dict(prefix.reached),
                ends={partition: each.end for partition, each in spans.items()},
            )
        )


def _partitions(stored: Stored) -> list[int]:
    """Return the partitions of the topic that have a position."""
    count = 0 if stored.identity is None else stored.identity.partition_count
    return [partition for partition in range(count) if partition in stored.positions]


def _compare_positions(stored: Stored, findings: Findings) -> None:
    """Find positions that a store of this topic cannot have, or must have."""
    count = 0 if stored.identity is None else stored.identity.partition_count
    for partition in sorted({*range(count), *stored.positions}):
        position = stored.positions.get(partition)
        if position is None:
            findings.add(_of_position(partition, "nothing", "a position"))
        elif partition >= count:
            findings.add(_of_position(partition, "a position", "no such partition"))
        elif position.next_offset < position.first_offset:
            words = f"at least {position.first_offset}, where the fold began"
            findings.add(_of_position(partition, f"the position {position.next_offset}", words))


def _of_position(partition: int, stored: str, expected: str) -> Difference:
    return Difference(kind="position", partition=partition, stored=stored, expected=expected)


def _passed_over(partition: int, offset: int) -> Difference:
    return Difference(
        kind="gap",
        partition=partition,
        offset=offset,
        stored="a gap of deleted records",
        expected="a record that is still there",
    )


def _beyond(partition: int, next_offset: int, end: int) -> Difference:
    words = f"no record from {end} on, where it ends"
    return _of_position(partition, f"the position {next_offset}", words)
