"""SQL that is expanded from the state's columns; a store's ``.sql`` files hold the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sessionfold_schemas import ValueType

from ..state import StateColumn, state_columns


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialect:
    """What one database calls things that others call otherwise."""

    types: Mapping[ValueType, str]
    least: str
    """The function that gives the lowest of its arguments."""
    greatest: str
    time: str
    """An expression for people of ``{micros}``, microseconds since the epoch."""
    differs: str
    """The operator that says whether two values differ, of which both may be null."""


# SQLite's `/` and `%` round toward zero.
_SQLITE_MICROS = "({micros} % 1000000 + 1000000) % 1000000"

SQLITE = Dialect(
    types={
        "string": "TEXT",
        "strings": "TEXT",
        "long": "INTEGER",
        "int": "INTEGER",
        "double": "REAL",
        "boolean": "INTEGER",
        "timestamp": "INTEGER",
    },
    least="min",
    differs="IS NOT",
    greatest="max",
    time=f"strftime('%Y-%m-%dT%H:%M:%S', ({{micros}} - {_SQLITE_MICROS}) / 1000000, 'unixepoch') "
    f"|| printf('.%06dZ', {_SQLITE_MICROS})",
)
"""Lists are JSON text; times are ISO 8601 text."""

POSTGRES = Dialect(
    types={
        "string": 'text COLLATE "C"',
        "strings": "text[]",
        "long": "bigint",
        "int": "integer",
        "double": "double precision",
        "boolean": "boolean",
        "timestamp": "bigint",
    },
    least="least",
    differs="IS DISTINCT FROM",
    greatest="greatest",
    # Two steps, since an interval is multiplied as a double, which has 53 bits.
    time="timestamptz 'epoch' + {micros} / 1000000 * interval '1 second' "
    "+ {micros} % 1000000 * interval '1 microsecond'",
)
"""Text is compared by its bytes; times are ``timestamptz``."""


def state_definitions(dialect: Dialect, columns: Iterable[StateColumn]) -> Iterator[str]:
    """Yield the definition of each of these columns of ``session_state``."""
    for column in columns:
        constraint = " NOT NULL" if _is_always_given(column) else ""
        yield f"{column.name} {dialect.types[column.type]}{constraint}"


def view_definitions(dialect: Dialect, columns: Iterable[StateColumn]) -> Iterator[str]:
    """Yield these columns as the view ``sessions`` has them: no fields' offsets, readable times."""
    for column in columns:
        if column.merge != "offset":
            is_time = column.type == "timestamp"
            time = dialect.time.replace("{micros}", column.name)
            yield f"{time} AS {column.name}" if is_time else column.name


def merging(dialect: Dialect, names: Iterable[str]) -> dict[str, str]:
    """Return what a statement that merges rows, of these columns, into states is expanded by.

    ``state`` is the stored row, ``excluded`` is the new one.
    """
    given = [*names]
    merges = [
        f"{column.name} = {_merged(column, dialect)}"
        for column in state_columns()
        if column.merge != "key" and column.name in given
    ]
    return {"given": ", ".join(given), "merges": ",\n    ".join(merges)}


def comparison(dialect: Dialect) -> dict[str, str]:
    """Return what a statement that compares ``live`` states with ``shadow`` ones is expanded by."""
    names = [column.name for column in state_columns()]
    return {
        "live_columns": ", ".join(f"live.{name}" for name in names),
        "shadow_columns": ", ".join(f"shadow.{name}" for name in names),
        "differences": " OR ".join(f"live.{n} {dialect.differs} shadow.{n}" for n in names),
    }


def _is_always_given(column: StateColumn) -> bool:
    return column.merge != "offset" and column.decided_by in (None, "first_offset", "last_offset")


def _merged(column: StateColumn, dialect: Dialect) -> str:
    name = column.name
    match column.merge:
        case "least":
            return f"{dialect.least}(state.{name}, excluded.{name})"
        case "greatest":
            return f"{dialect.greatest}(state.{name}, excluded.{name})"
        case "add":
            return f"state.{name} + excluded.{name}"
        case "offset":
            return _taken(name, name, column.prefers)
        case _:
            return _taken(name, column.decided_by, column.merge)


def _taken(name: str, decided_by: str | None, prefers: str | None) -> str:
    """Return an expression that takes the new value when its offset is earlier, or later."""
    sign, never = ("<", 2**63 - 1) if prefers == "earliest" else (">", -1)
    return (
        f"CASE WHEN excluded.{decided_by} {sign} coalesce(state.{decided_by}, {never}) "
        f"THEN excluded.{name} ELSE state.{name} END"
    )
