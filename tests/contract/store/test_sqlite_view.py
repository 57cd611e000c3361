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
from tests.contract.store.stores import row

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Answer = list[tuple[object, ...]]


def test_people_see_the_public_columns(tmp_path: Path) -> None:
    """In the order of every listing, and a mark; the offsets of fields are not for people."""
    with closing(filled(tmp_path, [row("a")])) as database:
        columns = database.execute("SELECT * FROM sessions").description
    assert tuple(name for name, *_ in columns) == (*public_columns(), "dead_letters")


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
