"""A service on PostgreSQL that is cut off, stopped and refused: it goes on by itself and is right.

Each test counts that its fault really happened.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from sessionfold_consumer import patience
from sessionfold_consumer.store import migrate_store
from tests.integration.folding import Folding
from tests.services.postgres import PostgresServer, Trap, query
from tests.services.postgres_proxy import Loss, PostgresProxy

pytestmark = pytest.mark.postgres

_IN_TRANSACTION = """
    SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
        AND application_name = 'sessionfold'
"""


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that was away is soon asked again."""
    monkeypatch.setattr(patience, "_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(patience, "_LONGEST_SECONDS", 0.2)


@pytest.fixture
def url(database: str) -> str:
    """An empty store on the server of all tests."""
    migrate_store(database)
    return database


@pytest.fixture
def own_url(own_postgres: PostgresServer) -> str:
    """An empty store on a server of the test's own."""
    made = own_postgres.create_database()
    migrate_store(made)
    return made


@pytest.fixture
def proxy(url: str) -> Iterator[PostgresProxy]:
    """What stands between a service and its store."""
    with PostgresProxy(url) as standing:
        yield standing


@pytest.mark.parametrize("times", [10, pytest.param(300, marks=pytest.mark.soak)])
def test_its_backend_is_terminated_in_mid_batch(url: str, times: int) -> None:
    """Each time while a transaction is open."""
    chance = random.Random(times)
    with Folding(url) as folding:
        for _ in range(times):
            time.sleep(chance.uniform(0, 0.02))
            folding.wait_for(lambda: terminated_in_transaction(url), "an open transaction")
            folding.wait_for_progress()
            folding.check()
        folding.finish()
    assert folding.seen.waiting["store"] >= times


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


@pytest.mark.parametrize("at_commit", [False, True])
@pytest.mark.parametrize(
    "sqlstate",
    ["40001", "40P01", "53100", "53200", "55P03", "57014"],
    ids=["serialization", "deadlock", "disk_full", "out_of_memory", "lock", "cancelled"],
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


@pytest.mark.parametrize("times", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_the_server_is_restarted_in_immediate_mode(
    own_postgres: PostgresServer, own_url: str, times: int
) -> None:
    """It recovers from its own log each time; what was committed is there."""
    chance = random.Random(times)
    with Folding(own_url) as folding:
        for _ in range(times):
            time.sleep(chance.uniform(0, 0.3))
            own_postgres.stop("immediate")
            folding.wait_for(lambda: folding.is_waiting, "that it waits")
            own_postgres.restart()
            folding.wait_for_progress()
            folding.check()
        folding.finish()
    assert own_postgres.log.read_text().count("was not properly shut down") == times
    assert folding.seen.waiting["store"] >= times


@pytest.mark.parametrize("times", [10, pytest.param(300, marks=pytest.mark.soak)])
@pytest.mark.parametrize("loss", ["answer", "commit"])
def test_a_commit_or_its_answer_is_lost(
    url: str, proxy: PostgresProxy, loss: Loss, times: int
) -> None:
    """What became of it is read back: nothing is missing, and nothing is counted twice."""
    chance = random.Random(times)
    with Folding(proxy.url, url) as folding:
        for lost in range(1, times + 1):
            proxy.lose(loss, nth=chance.randint(1, 8))
            folding.wait_for(lambda lost=lost: proxy.lost[loss] == lost, "a loss")  # type: ignore[misc]
            folding.wait_for_progress()
            folding.check()
        folding.finish()
    assert proxy.lost == {loss: times}
    assert folding.seen.waiting["store"] >= times


def terminated_in_transaction(url: str) -> bool:
    """Terminate whoever has a transaction open, wait until it is gone, say if there was one."""
    pids = [pid for pid, was_there in query(url, _IN_TRANSACTION) if was_there]
    while query(url, "SELECT 1 FROM pg_stat_activity WHERE pid = ANY(%s)", pids):
        time.sleep(0.001)
    return bool(pids)
