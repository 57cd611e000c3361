"""What a check of a store found: differences, notes, and how much it looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Kind = Literal["position", "gap", "state", "dead_letter"]
"""What differs: how far a partition is folded, records that were passed over, a session, a record
that was set aside or should have been."""

NoteKind = Literal["unbound", "gap", "retriable", "dropped", "went_back", "anew"]
"""What is no difference, and worth to know.

``unbound``: no service has run on the store. ``gap``: records were accepted as lost. ``retriable``:
dead letters that would be valid events now. ``dropped``: valid events that a person gave up.
``went_back``: a position is lower than at the last check. ``anew``: the fold was begun again.
"""

Value = str | int | float | bool | None
"""A state's value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing that the store has otherwise than the log.

    ``field`` None is about the whole: then ``stored`` and ``expected`` are clauses of a sentence.
    Else they are the field's values; of a dead letter's bytes they are the hex or the digest.
    """

    kind: Kind
    partition: int
    session_id: str | None = None
    offset: int | None = None
    field: str | None = None
    stored: Value = None
    expected: Value = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """Something that is no difference, in a sentence."""

    kind: NoteKind
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What one check found.

    ``differences`` are the first ones only; ``difference_count`` is their number, exactly.
    """

    positions: Mapping[int, int]
    """For each partition the next offset: the prefix of the log that was compared."""
    records: int
    """Records in that prefix, as far as the log has them."""
    sessions: int
    """States that the log comes to: sessions, once for each partition they have events in."""
    dead_letters: int
    """Dead letters that the store lists, whatever became of them."""
    records_read: int
    """Records that this check read; the others were folded by earlier ones."""
    seconds: float
    """How long the check took."""
    notes: Sequence[Note]
    differences: Sequence[Difference]
    difference_count: int

    @property
    def is_clean(self) -> bool:
        """Whether the store is the fold of its log."""
        return self.difference_count == 0

    @property
    def records_per_second(self) -> float:
        """How fast this check was, over all that it did."""
        return self.records_read / max(self.seconds, 1e-9)


class Findings:
    """Collects what one check finds; keeps the first ``limit`` differences and counts all."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.differences: list[Difference] = []
        self.difference_count = 0
        self.notes: list[Note] = []

    def add(self, difference: Difference) -> None:
        """Take one difference."""
        self.difference_count += 1
        if len(self.differences) < self._limit:
            self.differences.append(difference)

    def note(self, kind: NoteKind, text: str) -> None:
        """Take what is no difference."""
        self.notes.append(Note(kind=kind, text=text))
