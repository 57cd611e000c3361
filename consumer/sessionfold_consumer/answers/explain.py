"""Why a state is as it is: for each field the store's value, and the records behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ..state import State, StateColumn, state_columns
from ..verify.compare import is_same
from .history import Step
from .origin import Origin, origin_of
from .session import Missing

Value = Any
"""A state's value, of whatever type its field has."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replaced:
    """The value that a field had before the one it has, and where that came from."""

    value: Value
    set_by: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """What one producer's events add to a count or a sum.

    ``first`` and ``last`` are the first and the last record that added anything.
    """

    producer_id: str
    amount: int
    first: Origin
    last: Origin


@dataclass(frozen=True, kw_only=True, slots=True)
class Disagreement:
    """What the log comes to where the store has something else."""

    value: Value
    offset: int | None = None
    """The offset that sets it by the log; None for a count, and where no event gives the field."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explanation:
    """One field of a state, explained."""

    field: str
    value: Value
    """The store's; None when no event gave the field."""
    set_by: Origin | None = None
    """Which record set it; None for a field that was never given, and for a count or a sum."""
    replaced: Replaced | None = None
    """None when it is the first value, or the log no longer has the one before."""
    times_given: int = 0
    """How many events gave it, of those that the log still has."""
    parts: Sequence[Part] | None = None
    """What a count or a sum adds up, by producer in order of their first; else None."""
    disagreement: Disagreement | None = None
    """None when store and log agree, as far as the log still has the records."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Explained:
    """A state of a session in one partition, explained."""

    state: State
    explanations: Sequence[Explanation]
    missing: Sequence[Missing]
    """What the log does not have of the session's span: where this is silent, it may be there."""
    set_aside: int
    """Records of the session that are open or dropped dead letters, and so in no field."""

    @property
    def disagreements(self) -> int:
        """How many of the explained fields store and log disagree on."""
        return sum(each.disagreement is not None for each in self.explanations)


def explained_fields() -> tuple[str, ...]:
    """Return what can be explained of a state: the contract's fields first, then the fold's own."""
    own = [column.name for column in _decided() if _is_of_end(column)]
    sums = [column.name for column in state_columns() if column.merge == "add"]
    return (*(c.name for c in _decided() if not _is_of_end(c)), *own, *sums)


def explain(
    state: State,
    steps: Iterable[Step],
    missing: Sequence[Missing],
    fields: Sequence[str] | None = None,
) -> Explained:
    """Explain a state by the steps of its session's history.

    Args:
        state: the store's.
        steps: those of the whole session; of other partitions than the state's they are left out.
        missing: what the log lacks of them.
        fields: names of :func:`explained_fields`; None is all of them.
    """
    partition = state["partition"]
    evidence = _Evidence()
    for step in steps:
        if step.record.partition == partition:
            evidence.take(step)
    missing = [each for each in missing if each.partition == partition]
    columns = {column.name: column for column in state_columns()}
    return Explained(
        state=state,
        explanations=[
            evidence.explanation(columns[name], state, missing)
            for name in (explained_fields() if fields is None else fields)
        ],
        missing=missing,
        set_aside=evidence.set_aside,
    )


class _Evidence:
    """What the steps of a session, taken in log order, say of each field."""

    def __init__(self) -> None:
        self.set_aside = 0
        self._state: State | None = None
        self._set_by: dict[str, Origin] = {}
        self._replaced: dict[str, Replaced] = {}
        self._times_given: Counter[str] = Counter()
        self._parts: dict[str, dict[str, Part]] = {}

    def take(self, step: Step) -> None:
        """Take the next step."""
        if not step.is_event:
            self.set_aside += step.fate != "refused"
            return
        before, after = step.before, step.after
        assert after is not None  # noqa: S101 - an event leaves a state
        origin = origin_of(step.record, step.event)
        for column in _decided():
            self._times_given[column.name] += (
                _is_of_end(column) or step.event.get(column.name) is not None
            )
            if _offset(column, before) != _offset(column, after):
                self._set(column.name, before, origin)
        for column in state_columns():
            if column.merge == "add":
                amount = after[column.name] - (before[column.name] if before else 0)
                self._add(column.name, amount, origin)
        self._state = after

    def explanation(
        self, column: StateColumn, stored: State, missing: Sequence[Missing]
    ) -> Explanation:
        """Explain one column of the store's state."""
        name, offset = column.name, _offset(column, stored)
        if column.merge == "add":
            return Explanation(
                field=name,
                value=stored[name],
                parts=tuple(self._parts.get(name, {}).values()),
                disagreement=self._disagreement(column, stored, missing),
            )
        set_by = self._set_by.get(name)
        if offset is None:
            set_by = None
        elif set_by is None or set_by.offset != offset:
            set_by = Origin(partition=stored["partition"], offset=offset)
        return Explanation(
            field=name,
            value=stored[name],
            set_by=set_by,
            replaced=self._replaced.get(name) if set_by and set_by.is_known else None,
            times_given=self._times_given[name],
            disagreement=self._disagreement(column, stored, missing),
        )

    def _set(self, name: str, before: State | None, origin: Origin) -> None:
        old = self._set_by.get(name)
        if old is not None and before is not None:
            self._replaced[name] = Replaced(value=before[name], set_by=old)
        self._set_by[name] = origin

    def _add(self, name: str, amount: int, origin: Origin) -> None:
        if amount == 0:
            return
        parts = self._parts.setdefault(name, {})
        producer_id = origin.producer_id or ""
        old = parts.get(producer_id)
        parts[producer_id] = Part(
            producer_id=producer_id,
            amount=amount + (old.amount if old else 0),
            first=old.first if old else origin,
            last=origin,
        )

    def _disagreement(
        self, column: StateColumn, stored: State, missing: Sequence[Missing]
    ) -> Disagreement | None:
        """Return what the log comes to, unless that is what is stored, or cannot be known."""
        value = self._state[column.name] if self._state else None
        if column.merge == "add":
            is_right = bool(missing) or is_same(stored[column.name], value or 0)
            return None if is_right else Disagreement(value=value or 0)
        offset, found = _offset(column, stored), _offset(column, self._state)
        if offset is not None and any(m.first <= offset < m.end for m in missing):
            # Of what was deleted nothing is known, but that an earlier value wins or loses.
            if column.merge == "earliest" or found is None or found < offset:
                return None
        elif offset == found and is_same(stored[column.name], value):
            return None
        return Disagreement(value=value, offset=found)


@cache
def _decided() -> tuple[StateColumn, ...]:
    """Return the columns whose value one record has set."""
    return tuple(column for column in state_columns() if column.decided_by is not None)


def _is_of_end(column: StateColumn) -> bool:
    """Say whether a column is of the session's first or last event, whatever that gave."""
    return column.decided_by in ("first_offset", "last_offset")


def _offset(column: StateColumn, state: State | None) -> int | None:
    """Return the offset of the record that set a column's value."""
    if state is None or column.decided_by is None:
        return None
    offset: int | None = state[column.decided_by]
    return offset
