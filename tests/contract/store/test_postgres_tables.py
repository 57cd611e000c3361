"""The PostgreSQL store's tables: the view for people, and updates that stay on their page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

import sessionfold_schemas as contract
from sessionfold_consumer.store import SessionStore, migrate_store, open_store
from tests.contract.store.stores import IDENTITY, VIEW_COLUMNS, advance, letter, moved, row
from tests.services.postgres_databases import query

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def store(database: str) -> Iterator[SessionStore]:
    """A bound store in the test's database."""
    migrate_store(database)
    with closing(open_store(database)) as opened:
        opened.bind(IDENTITY, dict.fromkeys(range(3), 0))
        yield opened


def test_people_see_the_public_columns(database: str, store: SessionStore) -> None:
    """And a mark, behind which later versions of the contract add theirs; no offsets of fields."""
    with psycopg.connect(database) as connection:
        columns = connection.execute("SELECT * FROM sessionfold.sessions").description or []
    assert tuple(each.name for each in columns) == VIEW_COLUMNS


def test_a_list_is_an_array(database: str, store: SessionStore) -> None:
    """So sessions are found by a tag, and an empty list differs from none."""
    rows = [row("a", tags=["vip", "é"]), row("b", tags=["vip"]), row("c", tags=[]), row("d")]
    store.commit([], rows, [])
    found = "SELECT session_id FROM sessionfold.sessions WHERE 'vip' = ANY (tags) ORDER BY 1"
    assert query(database, found) == [("a",), ("b",)]
    tags = "SELECT tags FROM sessionfold.sessions ORDER BY session_id"
    assert query(database, tags) == [(["vip", "é"],), (["vip"],), ([],), (None,)]


@pytest.mark.parametrize(
    "micros",
    [0, 1, -1, -999_999, 1_760_000_000_123_456, contract.MIN_TIMESTAMP, contract.MAX_TIMESTAMP],
)
def test_times_are_exact(database: str, store: SessionStore, micros: int) -> None:
    """Microseconds since the epoch, as a timestamp with time zone."""
    store.commit([], [row(occurred_at=micros)], [])
    statement = "SELECT first_occurred_at FROM sessionfold.sessions"
    # As text, since the year 10,000 of a time zone east of Greenwich is none of Python's.
    with psycopg.connect(database, options="-c TimeZone=UTC") as connection:
        ((found,),) = connection.execute(statement).fetchall()
    assert found == _EPOCH + timedelta(microseconds=micros)


def test_a_session_with_records_set_aside_is_marked(database: str, store: SessionStore) -> None:
    """By those that are open."""
    store.commit([], [row("a"), row("b")], [letter(0, 5), letter(0, 6), letter(1, 7)])
    store.resolve([letter(0, 6)], "dropped")
    marks = "SELECT session_id, dead_letters FROM sessionfold.sessions ORDER BY 1"
    assert query(database, marks) == [("a", 1), ("b", 0)]


def test_only_the_live_generation_is_seen(database: str, store: SessionStore) -> None:
    """The other one may be half full."""
    store.commit([], [row("a")], [])
    query(database, "UPDATE sessionfold.store_info SET generation = 'b'")
    assert query(database, "SELECT session_id FROM sessionfold.sessions") == []
    store.claim([], "one")
    store.commit([], [row("b")], [])
    assert query(database, "SELECT session_id FROM sessionfold.sessions") == [("b",)]


def test_updates_stay_on_their_page(database: str, store: SessionStore) -> None:
    """They are heap-only tuples: no index is touched, whatever field changes."""
    names = [f"session {number}" for number in range(500)]
    held = store.claim([0], "one")
    for batch in range(4):
        rows = [row(name, offset=batch, task=f"task {batch}", is_finished=True) for name in names]
        store.commit([advance(held[0], batch + 1)], rows, [])
        held[0] = moved(held[0], batch + 1)
    store.close()  # a backend counts what it did when it ends, at the latest
    counts = """
        SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
        WHERE schemaname = 'sessionfold' AND relname = 'session_state_a'
    """
    for _ in range(100):
        ((updated, hot),) = query(database, counts)
        if updated == 3 * len(names):
            break
        query(database, "SELECT pg_sleep(0.05)")
    assert updated == 3 * len(names)
    assert hot >= 0.95 * updated


def test_a_stage_stays_empty_and_its_own(database: str, store: SessionStore) -> None:
    """What one connection stages no other sees, and no commit leaves rows behind."""
    store.commit([], [row("a")], [])
    with closing(open_store(database)) as other:
        other.commit([], [row("b")], [])
        other.commit([], [], [])
        store.commit([], [row("a", offset=1)], [])
        counts = {state["session_id"]: state["event_count"] for state in store.states()}
    assert counts == {"a": 2, "b": 1}
