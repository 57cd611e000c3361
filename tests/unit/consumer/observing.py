"""What observers are told, and the clocks they look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sessionfold_consumer.commit import Commit
from sessionfold_consumer.observer import Progress
from sessionfold_consumer.state import Rows
from sessionfold_consumer.store import Advance, DeadLetter, Position

WALL = 1_700_000_000.0
"""Where the time of day begins in these tests, in seconds since the epoch."""


@dataclass
class Time:
    """Both clocks, as the test wants them: they go on together."""

    seconds: float = 0.0

    def clock(self) -> float:
        """Return seconds that never run backwards."""
        return 50.0 + self.seconds

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return WALL + self.seconds


def progress(
    next_offsets: Mapping[int, int],
    ends: Mapping[int, int] | None = None,
    waiting: str | None = None,
) -> Progress:
    """Return progress at these positions; caught up when no ends are given."""
    return Progress(
        records=0,
        dead_letters=0,
        next_offsets=next_offsets,
        ends=next_offsets if ends is None else ends,
        waiting=waiting,
    )


def commit(
    *partitions: int,
    records: int = 1,
    seconds: tuple[float, float] | None = None,
    reasons: Sequence[str] = (),
) -> Commit:
    """Return a commit that moves these partitions.

    Args:
        partitions: those that move, each by one record.
        records: how many it accounts for.
        seconds: when the first and the last of its records were appended, after ``WALL``.
        reasons: those of its dead letters.
    """
    return Commit(
        advances=[Advance(position=_position(each), next_offset=1) for each in partitions],
        rows=Rows({}),
        dead_letters=[_letter(offset, reason) for offset, reason in enumerate(reasons)],
        records=records,
        timestamps=seconds and (_milliseconds(seconds[0]), _milliseconds(seconds[1])),
    )


def _milliseconds(seconds: float) -> int:
    return round((WALL + seconds) * 1000)


def _position(partition: int) -> Position:
    return Position(partition=partition, next_offset=0, owner_epoch=1)


def _letter(offset: int, reason: str) -> DeadLetter:
    return DeadLetter(
        partition=0,
        offset=offset,
        timestamp=0,
        key=None,
        value=None,
        headers=(),
        reason=reason,
        detail="",
    )
