"""The other generation: filled beside the live one, compared with it, and put in its place.

A store has its tables twice. The live ones are what people read and services write. The others are
the *shadow*: empty, or being filled by a rebuild, or kept for the way back after one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from ..state import State
from .protocol import DeadLetter, Position, SessionStore


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Offsets of one partition, from ``low`` to before ``high``."""

    low: int
    high: int


Pair = tuple[State | None, State | None]
"""A session's live state and its shadow's; None where there is none."""


def pair_of(row: Sequence[Any], read: Callable[[Sequence[Any]], State]) -> Pair:
    """Return the live and the shadow's state of a row that has the columns of both.

    Args:
        row: live columns first; all of one side are null where there is none.
        read: makes a state of one side's columns.
    """
    width = len(row) // 2
    live, shadow = row[:width], row[width:]
    return None if live[0] is None else read(live), None if shadow[0] is None else read(shadow)


def next_epoch(live: Iterable[Position], shadow: Iterable[Position]) -> int:
    """Return the first owner epoch of a shadow that begins: nobody holds it who claimed before.

    A service that was frozen may hold what was live once and was thrown away since; the switch has
    raised the live epochs over that.
    """
    return max((each.owner_epoch + 1 for each in (*live, *shadow)), default=0)


class ShadowStore(SessionStore, Protocol):
    """The shadow of a store, as a store of its own; ``info`` says whether it is filled.

    Positions, states, gaps and dead letters are the shadow's. ``bind`` is not for it. When another
    process has made it the live generation, each method that writes raises
    ``StoreUnusableError``.
    """

    def begin(
        self, origin: str, first_offsets: Mapping[int, int], letters: Iterable[DeadLetter] = ()
    ) -> None:
        """Empty the shadow and start each partition at its first offset, in one transaction.

        Args:
            origin: what it is filled from; ``info().shadow_origin`` says it to who goes on.
            first_offsets: for each partition of the topic.
            letters: dead letters to keep as they are, whatever became of them.
        """

    def note_origin(self, origin: str) -> None:
        """Say anew what the shadow is filled from."""

    def empty(self) -> None:
        """Throw away what the shadow has."""

    def holding(self) -> AbstractContextManager[dict[int, Position]]:
        """Keep the live generation as it is within the block; yield its positions.

        Nobody else commits to it, claims a partition or resolves a dead letter meanwhile: they
        wait. What is written through this object within the block is one transaction, taken back
        when the block raises. So the block has to be short.
        """

    def switch(self) -> None:
        """Make the shadow the live generation, and the live one the shadow, which is kept.

        Services that hold partitions are fenced; when they claim them again, they go on in the
        generation that is live then. Afterwards this object is of no use but to be closed.
        """

    def pairs(self, ranges: Mapping[int, Range]) -> Iterator[Pair]:
        """Yield the sessions that differ between the generations, live state first.

        Looked at are the sessions whose last offset lies in their partition's range, by the live
        state where there is one, else by the shadow's.
        """
