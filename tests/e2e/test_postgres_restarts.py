"""PostgreSQL killed and restarted under load: three services go on by themselves, and are right.

What one service does then is in ``tests/integration/test_postgres_restarts.py``, sooner.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from sessionfold_consumer.config import Settings
from tests.e2e.conftest import CommandLine
from tests.e2e.members import Members, Oracle, next_offsets, stored_model, wait_until
from tests.e2e.outage.fleet import Fleet
from tests.e2e.outage.log import FIELDS, differences
from tests.services.kafka import Broker
from tests.services.postgres import PostgresServer
from tests.services.topics import end_offsets

pytestmark = [pytest.mark.kafka, pytest.mark.postgres]

WORKERS = ("one", "two", "three", "four")
MEMBERS = ("first", "second", "third")
RATE = 2_000
"""Updates a second, by all workers together."""

_UP_SECONDS = 2.0
_DOWN_SECONDS = 1.0


@pytest.fixture
def store(own_postgres: PostgresServer, cli: CommandLine) -> str:
    """The URL of a store on a server that may be harmed; the command line points at it."""
    url = cli.environment["SESSIONFOLD_STORE"] = own_postgres.create_database()
    cli.good("store", "migrate")
    return url


@pytest.mark.soak
@pytest.mark.parametrize("times", [2, 20])
def test_a_server_that_is_stopped_and_killed_again_and_again(
    broker: Broker,
    topic: str,
    own_postgres: PostgresServer,
    store: str,
    cli: CommandLine,
    folder: Path,
    times: int,
) -> None:
    """``verify`` is clean after each restart; no process ends, and nothing delivered is lost."""
    servers = broker.bootstrap_servers
    oracle = Oracle(Settings(bootstrap_servers=servers, topic=topic, store=store))
    fleet = Fleet(WORKERS, folder, bootstrap_servers=servers, topic=topic)
    chance = random.Random(times)
    with fleet as workers, Members(cli, folder) as members:
        workers.begin_earlier()
        workers.start(RATE)
        for name in MEMBERS:
            members.start(name)
        for number in range(times):
            wait_for_progress(store, members)
            time.sleep(chance.uniform(0, _UP_SECONDS))
            own_postgres.kill() if number % 2 else own_postgres.stop("immediate")
            time.sleep(chance.uniform(0, _DOWN_SECONDS))
            own_postgres.restart()
            members.assert_running()
            report = oracle.check()
            assert report is not None
            assert report.is_clean, report.differences[:5]
        results = workers.end()
        wait_until(lambda: next_offsets(store) == end_offsets(broker, topic), "the log's end")
        members.stop()
    assert own_postgres.log.read_text().count("was not properly shut down") == times
    assert any("going on after" in members.words(name) for name in MEMBERS)
    assert ": right (" in cli.good("verify")
    given = {k: v for each in results.values() for k, v in each["model"].items()}
    assert differences(stored_model(store, FIELDS), given) == {}


def wait_for_progress(store: str, members: Members) -> None:
    """Wait until every partition is folded further than now."""
    before = next_offsets(store)
    wait_until(lambda: _has_moved(before, next_offsets(store)), "progress", members)


def _has_moved(before: dict[int, int], now: dict[int, int]) -> bool:
    return bool(now) and all(now[each] > before.get(each, 0) for each in now)
