"""The view ``sessions``: what people query with SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import sessionfold_schemas as contract
from sessionfold_consumer.state import Row, public_columns
from sessionfold_consumer.store.sqlite import SqliteStore
from tests.contract.store.stores import VIEW_COLUMNS, letter, row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Answer = list[tuple[object, ...]]


def test_people_see_the_public_columns(tmp_path: Path) -> None:
    """And a mark, behind which later versions of the contract add theirs; no offsets of fields."""
    with closing(filled(tmp_path, [row("a")])) as database:
        columns = database.execute("SELECT * FROM sessions").description
    assert tuple(name for name, *_ in columns) == VIEW_COLUMNS


def test_a_list_is_read_with_json_each(tmp_path: Path) -> None:
    """So sessions are found by a tag, and an empty list differs from none."""
    rows = [row("a", tags=["vip", 'é "x"']), row("b", tags=["vip"]), row("c", tags=[]), row("d")]
    query = "SELECT session_id FROM sessions, json_each(tags) WHERE value = ? ORDER BY 1"
    with closing(filled(tmp_path, rows)) as database:
        assert database.execute(query, ("vip",)).fetchall() == [("a",), ("b",)]
        assert database.execute(query, ('é "x"',)).fetchall() == [("a",)]
        texts = database.execute("SELECT tags FROM sessions ORDER BY session_id").fetchall()
    assert texts == [('["vip","é \\"x\\""]',), ('["vip"]',), ("[]",), (None,)]


def test_values_are_plain(tmp_path: Path) -> None:
    """Text, numbers, 0 and 1, null when not given."""
    rows = [row("a", task="t", session_eval=0.5, is_finished=True, is_successful=False)]
    query = "SELECT task, session_eval, is_finished, is_successful, session_name FROM sessions"
    with closing(filled(tmp_path, rows)) as database:
        assert database.execute(query).fetchall() == [("t", 0.5, 1, 0, None)]


@pytest.mark.parametrize("generation", ["a", "b"])
def test_the_table_says_what_is_always_known(tmp_path: Path, generation: str) -> None:
    """A state has its bounds and counts; whether it has a field depends on the events."""
    with closing(filled(tmp_path, [])) as database:
        columns = database.execute(f"PRAGMA table_info(session_state_{generation})").fetchall()
    known = [name for _, name, _, is_not_null, *_ in columns if is_not_null]
    fields = [field.name for field in contract.current().state_fields]
    assert known == [name for name in public_columns() if name not in fields]


@pytest.mark.parametrize(
    ("micros", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (-1_000_000, "1969-12-31T23:59:59.000000Z"),
        (-999_999, "1969-12-31T23:59:59.000001Z"),
        (1_760_000_000_123_456, "2025-10-09T08:53:20.123456Z"),
        (contract.MIN_TIMESTAMP, "0001-01-01T00:00:00.000000Z"),
        (contract.MAX_TIMESTAMP, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_times_are_text_that_sorts(tmp_path: Path, micros: int, text: str) -> None:
    """ISO 8601 in UTC with six digits, so that text order is the order of time."""
    assert shown(tmp_path, micros) == text


@given(micros=st.integers(contract.MIN_TIMESTAMP, contract.MAX_TIMESTAMP))
@example(micros=-1_000_001)
def test_every_time_is_shown_as_the_calendar_has_it(
    tmp_path_factory: pytest.TempPathFactory, micros: int
) -> None:
    """From the year 1 to 9999, to the microsecond."""
    expected = _EPOCH + timedelta(microseconds=micros)
    found = shown(tmp_path_factory.mktemp("view"), micros)
    assert found == f"{expected.replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def test_a_time_that_was_not_given_is_null(tmp_path: Path) -> None:
    """Not an empty text, and not 1970."""
    with closing(filled(tmp_path, [row("a")])) as database:
        assert database.execute("SELECT ended_at FROM sessions").fetchall() == [(None,)]


def test_a_session_with_a_record_that_is_set_aside_is_marked(tmp_path: Path) -> None:
    """By the record's key and partition; while it is neither retried nor dropped."""
    letters = [letter(0, 5), letter(0, 6), letter(1, 5), letter(0, 7, key=b"b"), letter(0, 8)]
    letters += [letter(0, 9, key=None), letter(0, 10, key=b"no session\0")]
    path = tmp_path / "sessions.db"
    with closing(SqliteStore(path)) as store:
        store.commit([], [row("a"), row("a", 1), row("b", 1), row("c")], letters)
        store.resolve([letters[0]], "dropped")
        store.resolve([letters[4]], "retried")
    query = "SELECT session_id, partition, dead_letters FROM sessions"
    with closing(sqlite3.connect(path)) as database:
        found = {(name, partition): count for name, partition, count in database.execute(query)}
    assert found == {("a", 0): 1, ("a", 1): 1, ("b", 1): 0, ("c", 0): 0}


def test_people_see_the_live_generation_only(tmp_path: Path) -> None:
    """Sessions and marks; the other one may be half full."""
    with closing(filled(tmp_path, [row("a"), row("b")])) as database:
        database.execute("INSERT INTO session_state_b SELECT * FROM session_state_a LIMIT 1")
        database.execute("UPDATE session_state_b SET task = 'other'")
        assert len(database.execute("SELECT * FROM sessions").fetchall()) == 2
        database.execute("UPDATE store_info SET generation = 'b'")
        assert database.execute("SELECT session_id, task FROM sessions").fetchall() == [
            ("a", "other")
        ]


@pytest.mark.parametrize(
    "query", ["SELECT * FROM sessions", "SELECT * FROM sessions WHERE session_id = 'a'"]
)
def test_the_other_generation_costs_nothing(tmp_path: Path, query: str) -> None:
    """SQLite looks at the generation before it reads a state of the other."""
    with closing(filled(tmp_path, [row(f"{n}") for n in range(100)])) as database:
        steps(database, query)  # the first time it also reads the schema
        alone = steps(database, query)
        database.execute("INSERT INTO session_state_b SELECT * FROM session_state_a")
        assert steps(database, query) == alone > 0


def test_a_session_is_looked_up(tmp_path: Path) -> None:
    """By the index of its table, as before there were two of them."""
    with closing(filled(tmp_path, [])) as database:
        query = "EXPLAIN QUERY PLAN SELECT * FROM sessions WHERE session_id = 'a'"
        plan = " ".join(str(line[-1]) for line in database.execute(query))
    assert plan.count("SEARCH state USING INDEX") == 2
    assert "SCAN state" not in plan


def steps(database: sqlite3.Connection, query: str) -> int:
    """Return how many steps of SQLite's machine a query takes."""
    taken = 0

    def count() -> int:
        nonlocal taken
        taken += 1
        return 0

    database.set_progress_handler(count, 1)
    database.execute(query).fetchall()
    database.set_progress_handler(None, 1)
    return taken


def shown(folder: Path, micros: int) -> object:
    """Return how the view shows a time."""
    with closing(filled(folder, [row("a", ended_at=micros)])) as database:
        return database.execute("SELECT ended_at FROM sessions").fetchone()[0]


def filled(folder: Path, rows: Sequence[Row]) -> sqlite3.Connection:
    """Put rows into a new store and open its file as any program may."""
    path = folder / "sessions.db"
    with closing(SqliteStore(path)) as store:
        store.commit([], rows, [])
    return sqlite3.connect(path)
