"""Rows as SQLite takes and gives them: many with one statement, values of its few types.

Python's lock is released and taken for each execution, and taken late beside a busy thread: that is
longer than a row takes.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

from ..state import StateColumn

MOST_ROWS = 1_000
"""In one statement."""
_FEWER_ROWS = (100, 10, 1)

# Without these, the module looks for an adapter of each such value in three places, and raises and
# catches an AttributeError, which takes longer than all else that is done with the value.
sqlite3.register_adapter(type(None), {None: None}.get)
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(bytes, bytes)
# As JSON, which SQLite reads with json_each().
sqlite3.register_adapter(list, json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode)

_READERS: dict[str, Callable[[Any], Any]] = {"boolean": bool, "strings": json.loads}
"""What makes a value of SQLite's that of a column's type, where they differ."""


def readers(columns: Iterable[StateColumn]) -> dict[str, Callable[[Any], Any]]:
    """Return what to call with the given values of some columns, by the columns' names."""
    return {each.name: _READERS[each.type] for each in columns if each.type in _READERS}


class RowsStatement:
    """A statement that takes any number of rows.

    Args:
        database: where it is executed.
        statement: with ``{rows}`` in the place of the rows of its VALUES.
    """

    def __init__(self, database: sqlite3.Connection, statement: str) -> None:
        self._database = database
        self._statement = statement
        self._by_size: dict[int, str] = {}

    def execute(self, columns: Sequence[Sequence[Any]]) -> None:
        """Execute it for rows in their order, given by their columns, as many values in each."""
        total = len(columns[0]) if columns else 0
        if not total:
            return
        limit = self._database.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // len(columns)
        done = 0
        for size in (min(MOST_ROWS, limit), *(each for each in _FEWER_ROWS if each <= limit)):
            while total - done >= size:
                rows = zip(*(column[done : done + size] for column in columns), strict=True)
                values = list(chain.from_iterable(rows))
                self._database.execute(self._of_size(size, len(columns)), values)
                done += size

    def _of_size(self, rows: int, columns: int) -> str:
        if rows not in self._by_size:
            row = f"({', '.join('?' * columns)})"
            self._by_size[rows] = self._statement.replace("{rows}", ", ".join([row] * rows))
        return self._by_size[rows]
