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
        columns: how many values a row has.
    """

    def __init__(self, database: sqlite3.Connection, statement: str, columns: int) -> None:
        most = database.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // columns
        row = f"({', '.join('?' * columns)})"
        self._database = database
        self._statements = [
            (size, statement.replace("{rows}", ", ".join([row] * size)))
            for size in _ROWS_AT_ONCE
            if size <= most
        ]

    def execute(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute it for these rows, in their order."""
        done = 0
        for size, statement in self._statements:
            while len(rows) - done >= size:
                values = list(chain.from_iterable(rows[done : done + size]))
                self._database.execute(statement, values)
                done += size
