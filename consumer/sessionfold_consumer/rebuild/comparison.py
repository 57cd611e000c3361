"""What differs between the live generation and the one that was folded anew."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any

from ..state import State, public_columns, state_columns
from ..store import DeadLetter, LetterStatus, Pair

Place = tuple[int, int]
"""Partition and offset of a record."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One field of a session that a switch would change, or all of one: then ``field`` is None."""

    session_id: str
    partition: int
    field: str | None
    live: Any
    rebuilt: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class LetterChanges:
    """How the dead letters differ, as counts and the first place of each."""

    restored: int = 0
    """Records that live has set aside and this program takes for valid events."""
    first_restored: Place | None = None
    refused: int = 0
    """Records that this program has set aside, and live has not."""
    first_refused: Place | None = None


@dataclass(kw_only=True, slots=True)
class Comparison:
    """The sessions that differ: all are counted, some are kept."""

    limit: int
    """How many sessions to keep the changes of."""
    sessions: int = 0
    changes: list[Change] = field(default_factory=list)
    letters: LetterChanges = field(default_factory=LetterChanges)

    @property
    def is_same(self) -> bool:
        """Whether a switch would change no session and no dead letter."""
        return not (self.sessions or self.letters.restored or self.letters.refused)

    def __str__(self) -> str:
        """Say in a few words what differs."""
        counts = (
            (self.sessions, "sessions"),
            (self.letters.restored, "dead letters that are valid events now"),
            (self.letters.refused, "records that are no valid events now"),
        )
        return ", ".join(f"{count:,} {words}" for count, words in counts if count) or "nothing"

    def take(self, pairs: Iterable[Pair]) -> None:
        """Take sessions that differ."""
        for live, rebuilt in pairs:
            self.sessions += 1
            if self.sessions <= self.limit:
                self.changes += changes_of((live, rebuilt))

    def take_letters(self, live: Iterable[DeadLetter], rebuilt: Iterable[DeadLetter]) -> None:
        """Compare the dead letters of both, up to the same positions."""
        before, after = _statuses(live), _statuses(rebuilt)
        restored = [place for place, status in before.items() if _is_gone(place, status, after)]
        refused = [place for place in after if place not in before]
        self.letters = LetterChanges(
            restored=len(restored),
            first_restored=min(restored, default=None),
            refused=len(refused),
            first_refused=min(refused, default=None),
        )


def changes_of(pair: Pair) -> list[Change]:
    """Return the fields in which a session differs; those with an offset only, too."""
    live, rebuilt = pair
    there = live or rebuilt
    assert there is not None  # noqa: S101 - one of them is there
    key = {"session_id": there["session_id"], "partition": there["partition"]}
    if live is None or rebuilt is None:
        return [Change(**key, field=None, live=live and "there", rebuilt=rebuilt and "there")]
    names = [each.name for each in state_columns() if live[each.name] != rebuilt[each.name]]
    # An offset that differs says nothing new beside its value.
    shown = [each for each in names if each in public_columns()] or names
    return [Change(**key, field=each, live=live[each], rebuilt=rebuilt[each]) for each in shown]


def pairs_of(some: Iterable[State], others: Iterable[State]) -> Iterator[Pair]:
    """Yield the sessions that differ between two readings, both in the order of every store."""
    return (pair for pair in side_by_side(some, others) if pair[0] != pair[1])


def side_by_side(some: Iterable[State], others: Iterable[State]) -> Iterator[Pair]:
    """Yield every session of two readings, both in the order of every store."""
    merged = heapq.merge(
        ((_key(each), 0, each) for each in some), ((_key(each), 1, each) for each in others),
        key=itemgetter(0, 1),
    )  # fmt: skip
    for _, found in groupby(merged, key=itemgetter(0)):
        sides = {side: state for _, side, state in found}
        yield sides.get(0), sides.get(1)


def _key(state: State) -> tuple[bytes, int]:
    return state["session_id"].encode(), state["partition"]


def _statuses(letters: Iterable[DeadLetter]) -> dict[Place, LetterStatus]:
    return {(each.partition, each.offset): each.status for each in letters}


def _is_gone(place: Place, status: LetterStatus, others: Mapping[Place, LetterStatus]) -> bool:
    return status == "open" and place not in others
