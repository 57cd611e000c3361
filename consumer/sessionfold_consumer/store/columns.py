"""SQL that is expanded from the state's columns; a store's ``.sql`` files hold the rest."""

from __future__ import annotations

from collections.abc import Iterator

from ..state import StateColumn, state_columns

_SQLITE_TYPES = {
    "string": "TEXT",
    "long": "INTEGER",
    "int": "INTEGER",
    "double": "REAL",
    "boolean": "INTEGER",
    "timestamp": "INTEGER",
}


def state_definitions() -> Iterator[str]:
    """Yield the definition of each column of ``session_state``."""
    for column in state_columns():
        constraint = " NOT NULL" if _is_always_given(column) else ""
        yield f"{column.name} {_SQLITE_TYPES[column.type]}{constraint}"


def view_definitions() -> Iterator[str]:
    """Yield the columns of the view ``sessions``: no offsets of fields, times as ISO 8601 text."""
    for column in state_columns():
        if column.merge != "offset":
            is_time = column.type == "timestamp"
            yield f"{_iso_time(column.name)} AS {column.name}" if is_time else column.name


def merges() -> Iterator[str]:
    """Yield the assignment of each column when a row of a batch meets a stored one.

    A name alone is the stored row's value, ``excluded`` is the new row.
    """
    for column in state_columns():
        if column.merge != "key":
            yield f"{column.name} = {_merged(column)}"


def _is_always_given(column: StateColumn) -> bool:
    return column.merge != "offset" and column.decided_by in (None, "first_offset", "last_offset")


def _iso_time(name: str) -> str:
    """Return microseconds since the epoch as text. SQLite's ``/`` and ``%`` round toward zero."""
    micros = f"({name} % 1000000 + 1000000) % 1000000"
    seconds = f"({name} - {micros}) / 1000000"
    return f"strftime('%Y-%m-%dT%H:%M:%S', {seconds}, 'unixepoch') || printf('.%06dZ', {micros})"


def _merged(column: StateColumn) -> str:
    name = column.name
    match column.merge:
        case "least":
            return f"min({name}, excluded.{name})"
        case "greatest":
            return f"max({name}, excluded.{name})"
        case "add":
            return f"{name} + excluded.{name}"
        case "offset":
            return _taken(name, name, column.prefers)
        case _:
            return _taken(name, column.decided_by, column.merge)


def _taken(name: str, decided_by: str | None, prefers: str | None) -> str:
    """Return an expression that takes the new value when its offset is earlier, or later."""
    sign, never = ("<", 2**63 - 1) if prefers == "earliest" else (">", -1)
    return (
        f"CASE WHEN excluded.{decided_by} {sign} ifnull({decided_by}, {never}) "
        f"THEN excluded.{name} ELSE {name} END"
    )
