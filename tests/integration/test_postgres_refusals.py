"""A service on a PostgreSQL that is there and does not do what it is asked to: it tries again.

Each test counts that its fault really happened.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import closing

import pytest

from sessionfold_consumer.store import open_store, postgres_database
from tests.integration.folding import Folding
from tests.services.postgres import (
    InsufficientPrivilege,
    Postgres,
    Trap,
    connect,
    database_name,
    query,
    with_user,
)
from tests.unit.consumer.services import PARTITIONS

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("hurried")]

_GONE = "PERFORM pg_terminate_backend(pg_backend_pid())"


@pytest.mark.parametrize("table", ["positions_a", "session_state_a", "dead_letters_a"])
def test_its_connection_is_lost_within_any_statement(url: str, table: str) -> None:
    """While it writes positions, states or dead letters, and psycopg is in whatever mode."""
    with Folding(url) as folding:
        trap = Trap.set(url, f"sessionfold.{table}", _GONE, every=20)
        folding.wait_for(lambda: trap.sprung() >= 3, "lost connections")
        trap.remove()
        folding.finish()
    assert folding.seen.waiting["store"] >= 3


@pytest.mark.parametrize(
    ("sqlstate", "at_commit"),
    [
        pytest.param("40001", False, id="serialization"),
        pytest.param("40001", True, id="serialization, when it commits"),
        pytest.param("53200", False, id="out of memory"),
        pytest.param("53100", True, id="disk full, when it commits"),
        pytest.param("57014", False, id="cancelled"),
    ],
)
def test_a_transaction_is_refused_for_what_passes(url: str, sqlstate: str, at_commit: bool) -> None:
    """When it writes, or only when it commits: it is tried again, from the position."""
    action = f"RAISE EXCEPTION USING ERRCODE = '{sqlstate}'"
    with Folding(url) as folding:
        trap = Trap.set(url, "sessionfold.session_state_a", action, every=50, at_commit=at_commit)
        folding.wait_for(lambda: trap.sprung() >= 3, "refusals")
        folding.check()
        trap.remove()
        folding.finish()
    assert folding.seen.waiting["store"] >= 3


def test_a_row_is_locked_for_longer_than_it_waits(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody looks at a session, in a transaction, and goes for lunch."""
    settings = {**postgres_database._SETTINGS, "lock_timeout": "50ms"}
    monkeypatch.setattr(postgres_database, "_SETTINGS", settings)
    with Folding(url) as folding:
        with connect(url) as other:
            other.execute("SELECT FROM sessionfold.session_state_a FOR UPDATE")
            folding.wait_for(lambda: folding.seen.waiting["store"] >= 3, "locks in vain")
            folding.check()
        folding.finish()


def test_it_is_the_victim_of_a_deadlock(postgres: Postgres, url: str) -> None:
    """Somebody locks a session and then a position; it does so in the other order."""
    database = database_name(url)
    with Folding(url) as folding:
        query(
            url, f'ALTER DATABASE "{database}" SET deadlock_timeout = 300'
        )  # for connections to come
        query(url, _END_SERVICE)
        folding.wait_for_progress()
        for _ in range(3):
            lock_in_a_circle(url, folding)
            folding.wait_for_progress()
        folding.finish()
    found = "SELECT deadlocks FROM pg_stat_database WHERE datname = %s"
    folding.wait_for(lambda: query(url, found, database)[0][0] >= 3, "counted deadlocks")


def test_another_process_takes_its_partitions_in_mid_batch(url: str) -> None:
    """A commit that is under way is done or refused, never half of it; then they change hands."""
    with Folding(url) as folding, closing(open_store(url)) as other:
        for times in range(1, 4):
            folding.wait_for_progress()
            other.claim(range(PARTITIONS), "another")
            folding.wait_for_fence(times)
            folding.check()
        folding.finish()


def test_a_role_that_may_define_nothing_is_enough(postgres: Postgres, url: str, role: str) -> None:
    """It folds, goes on after it was kept out for a while, and could not create a table."""
    own = with_user(url, role)
    with Folding(own, url) as folding:
        folding.wait_for_progress()
        with pytest.raises(InsufficientPrivilege):
            query(own, "CREATE TABLE sessionfold.extra (value text)")
        before = folding.seen.waiting["store"]
        postgres.administer(f'ALTER ROLE "{role}" CONNECTION LIMIT 0')
        query(url, _END_SERVICE)
        folding.wait_for(lambda: folding.seen.waiting["store"] >= before + 3, "vain logins")
        postgres.administer(f'ALTER ROLE "{role}" CONNECTION LIMIT -1')
        folding.finish()


def test_its_server_has_become_a_standby(url: str) -> None:
    """Nothing is written to it; when it leads again the service goes on."""
    database = database_name(url)
    with Folding(url) as folding:
        query(url, f'ALTER DATABASE "{database}" SET default_transaction_read_only = on')
        query(url, _END_SERVICE)
        folding.wait_for(lambda: folding.seen.waiting["store"] >= 3, "refused writes")
        folding.check()
        with connect(url) as connection:
            connection.execute("SET TRANSACTION READ WRITE")
            connection.execute(f'ALTER DATABASE "{database}" RESET default_transaction_read_only')
        query(url, _END_SERVICE)
        folding.finish()


@pytest.mark.parametrize("isolation", ["repeatable read", "serializable"])
def test_transactions_are_isolated_more_than_is_needed(url: str, isolation: str) -> None:
    """A database whose default is another: with somebody else who writes, some are refused."""
    database = database_name(url)
    query(url, f"ALTER DATABASE \"{database}\" SET default_transaction_isolation = '{isolation}'")
    with Folding(url) as folding:
        while folding.seen.waiting["store"] < 3:
            query(url, _TOUCH)
        folding.check()
        folding.finish()


_END_SERVICE = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""

_WAITING = """
    SELECT 1 FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""

_TOUCH = """
    SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
    UPDATE sessionfold.session_state_a SET lost_before = lost_before WHERE session_id = 'session-1'
"""

_GRANTS = """
    CREATE ROLE "{role}" LOGIN;
    GRANT USAGE ON SCHEMA sessionfold TO "{role}";
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessionfold TO "{role}"
"""


@pytest.fixture
def role(url: str) -> Iterator[str]:
    """A role that may read and write what is in the store's tables, and nothing else."""
    name = f"test_{uuid.uuid4().hex}"
    query(url, _GRANTS.replace("{role}", name))
    yield name
    query(url, f'DROP OWNED BY "{name}"; DROP ROLE "{name}"')


def lock_in_a_circle(url: str, folding: Folding) -> None:
    """Lock what a service wants next, and, when it waits, what it holds."""
    before = folding.seen.waiting["store"]
    with connect(url) as other:
        other.execute("SET deadlock_timeout = '60s'")
        other.execute("SELECT FROM sessionfold.session_state_a FOR UPDATE")
        folding.wait_for(lambda: bool(query(url, _WAITING)), "that it waits for a lock")
        other.execute("SELECT FROM sessionfold.positions_a FOR UPDATE")
    folding.wait_for(lambda: folding.seen.waiting["store"] > before, "a deadlock")
