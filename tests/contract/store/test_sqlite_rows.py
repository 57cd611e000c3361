"""Many rows in one statement, however many values SQLite takes at a time."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from sessionfold_consumer.store.sqlite_rows import RowsStatement

ROWS = [(number, f"row {number}") for number in range(2_345)]


@pytest.mark.parametrize("limit", [2, 3, 25, 1_999, 2_000, 30_000])
def test_all_rows_are_taken_in_their_order(limit: int) -> None:
    """The most that the limit leaves room for at a time, and the rest in smaller portions."""
    taken: list[str] = []
    with closing(sqlite3.connect(":memory:")) as database:
        database.setlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, limit)
        database.execute("CREATE TABLE t (number INTEGER, text TEXT)")
        database.set_trace_callback(taken.append)
        RowsStatement(database, "INSERT INTO t VALUES {rows}").execute([*zip(*ROWS, strict=True)])
        database.set_trace_callback(None)
        assert database.execute("SELECT * FROM t ORDER BY rowid").fetchall() == ROWS
    inserts = [statement for statement in taken if statement.startswith("INSERT")]
    assert inserts[0].count("row ") == min(1_000, limit // 2)
