"""The shape of a session's state: one list of columns, derived from the contract.

The fold produces rows in this order, every store keeps these columns, and the command line prints
them; so a field that is added to the contract appears in all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, overload

from sessionfold_schemas import Contract, ValueType, current

Merge = Literal["key", "least", "greatest", "add", "earliest", "latest", "offset"]
"""How a stored value and a newer row's become one.

``least``, ``greatest`` and ``add`` are arithmetic. ``earliest`` and ``latest`` take the value whose
offset (in the column ``decided_by``) is lower or higher; ``offset`` is such an offset, and follows
the value it belongs to. A merge is idempotent and free of order, but for ``add``, which the
transaction with the positions makes exact.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class StateColumn:
    """One column of ``session_state``."""

    name: str
    type: ValueType
    merge: Merge
    decided_by: str | None = None
    """The column whose offsets decide between two values of this one."""
    prefers: Literal["earliest", "latest"] | None = None
    """For an offset column: which of two offsets stays."""


Row = tuple[Any, ...]
"""A session's state as values in the order of :func:`state_columns`."""


class Rows(Sequence[Row]):
    """Rows of many sessions, kept by columns: as they are made, and as databases take them.

    Args:
        columns: the values of each column by its name, as many in each, in the order of
            :func:`state_columns`. A column that is missing is None in every row.
    """

    def __init__(self, columns: Mapping[str, list[Any]]) -> None:
        self.columns = columns
        self._size = len(next(iter(columns.values()), ()))

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Rows:
        """Return any rows by columns."""
        if isinstance(rows, Rows):
            return rows
        names = [column.name for column in state_columns()]
        return cls(dict(zip(names, map(list, zip(*rows, strict=True)), strict=bool(rows))))

    def values_of(self, names: Iterable[str]) -> list[list[Any]]:
        """Return these columns, given or not."""
        nothing = [None] * len(self)
        return [self.columns.get(name, nothing) for name in names]

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Row]:
        return zip(*self.values_of(column.name for column in state_columns()), strict=True)

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        return [*self][place]


State = dict[str, Any]
"""A session's state by column name; None where no event has given a field."""


@cache
def state_columns() -> tuple[StateColumn, ...]:
    """Return the columns of the current contract's state, in their order everywhere."""
    return columns_of(current())


def columns_of(contract: Contract) -> tuple[StateColumn, ...]:
    """Return the columns of the state that is folded by a version of the contract."""
    columns = [
        StateColumn(name=contract.key.name, type="string", merge="key"),
        StateColumn(name="partition", type="int", merge="key"),
        StateColumn(name="first_offset", type="long", merge="least"),
        StateColumn(name="last_offset", type="long", merge="greatest"),
        StateColumn(name="event_count", type="long", merge="add"),
    ]
    for field in contract.fields_by_fold("first_and_last"):
        first, last = f"first_{field.name}", f"last_{field.name}"
        columns += [
            StateColumn(name=first, type=field.type, merge="earliest", decided_by="first_offset"),
            StateColumn(name=last, type=field.type, merge="latest", decided_by="last_offset"),
        ]
    for field in contract.fields_by_fold("sum"):
        columns.append(StateColumn(name=field.name, type="long", merge="add"))
    for field in contract.state_fields:
        prefers: Literal["earliest", "latest"] = "earliest" if field.fold == "first" else "latest"
        decided_by = f"{field.name}_offset"
        columns += [
            StateColumn(name=field.name, type=field.type, merge=prefers, decided_by=decided_by),
            StateColumn(name=decided_by, type="long", merge="offset", prefers=prefers),
        ]
    return tuple(columns)


@cache
def public_columns() -> tuple[str, ...]:
    """Return the names that people and scripts read: all but the per-field offsets."""
    offsets = {column.name for column in state_columns() if column.merge == "offset"}
    return tuple(column.name for column in state_columns() if column.name not in offsets)
