"""Many rows with one statement.

Python's lock is released and taken for each execution, and taken late beside a busy thread: that is
longer than a row takes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain
from typing import Any

_ROWS_AT_ONCE = (1_000, 100, 10, 1)

# Without these, the module looks for an adapter of each such value in three places, and raises and
# catches an AttributeError, which takes longer than all else that is done with the value.
sqlite3.register_adapter(type(None), {None: None}.get)
sqlite3.register_adapter(bool, int)
sqlite3.register_adapter(bytes, bytes)


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

    def execute(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute it for these rows, in their order; all of them have as many values."""
        if not rows:
            return
        limit = self._database.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        done = 0
        for size in (each for each in _ROWS_AT_ONCE if each * len(rows[0]) <= limit):
            while len(rows) - done >= size:
                values = list(chain.from_iterable(rows[done : done + size]))
                self._database.execute(self._of_size(size, len(rows[0])), values)
                done += size

    def _of_size(self, rows: int, columns: int) -> str:
        if rows not in self._by_size:
            row = f"({', '.join('?' * columns)})"
            self._by_size[rows] = self._statement.replace("{rows}", ", ".join([row] * rows))
        return self._by_size[rows]
