"""What there is to read of the log, to compare a store with it: all that was folded, or nothing."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ConsumerError, LogTruncatedError
from ..source import Span
from ..store import Gap


class LogStartMissingError(LogTruncatedError):
    """Raised when the log no longer has records that the store was folded from."""

    def __init__(self, partition: int, first: int, last: int) -> None:
        ConsumerError.__init__(
            self,
            f"the store cannot be verified: offsets {first} to {last} of partition {partition} "
            "were folded into it, and the log no longer has them; see why with: sessionfold topic "
            "check",
        )


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
