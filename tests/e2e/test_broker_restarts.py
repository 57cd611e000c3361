"""The broker killed and restarted under load: all that it acknowledged is folded, and right."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from sessionfold_consumer.config import Settings
from tests.e2e.conftest import CommandLine, store_url
from tests.e2e.members import Members, Oracle, next_offsets, stored_model, wait_until
from tests.e2e.outage.fleet import Fleet
from tests.e2e.outage.log import FIELDS, differences
from tests.services.kafka import KafkaBroker
from tests.services.topics import create_topic, end_offsets

pytestmark = pytest.mark.kafka

WORKERS = ("one", "two", "three", "four")
RATE = 2_000
"""Updates a second, by all workers together."""

_UP_SECONDS = 2.0
_DOWN_SECONDS = 1.5


@pytest.fixture
def cli(own_broker: KafkaBroker, folder: Path) -> CommandLine:
    """The command line, pointed at a topic on a broker that may be killed."""
    create_topic(own_broker, "t")
    return CommandLine(
        {
            "SESSIONFOLD_BOOTSTRAP_SERVERS": own_broker.bootstrap_servers,
            "SESSIONFOLD_TOPIC": "t",
            "SESSIONFOLD_STORE": store_url(folder / "sessions.db"),
        }
    )


@pytest.mark.parametrize("kills", [2, pytest.param(10, marks=pytest.mark.soak)])
def test_a_broker_that_is_killed_again_and_again(
    own_broker: KafkaBroker, cli: CommandLine, folder: Path, kills: int
) -> None:
    """One service goes on by itself; ``verify`` is clean after each restart and at the end."""
    servers, store = own_broker.bootstrap_servers, cli.environment["SESSIONFOLD_STORE"]
    oracle = Oracle(Settings(bootstrap_servers=servers, topic="t", store=store))
    fleet = Fleet(WORKERS, folder, bootstrap_servers=servers, topic="t")
    with fleet as workers, Members(cli, folder) as members:
        workers.begin_earlier()
        workers.start(RATE)
        members.start("only")
        chance = random.Random(kills)
        for _ in range(kills):
            _wait_for_progress(store, members)
            time.sleep(chance.uniform(0, _UP_SECONDS))
            own_broker.kill()
            time.sleep(chance.uniform(0, _DOWN_SECONDS))
            own_broker.restart()
            members.assert_running()
            report = oracle.check()
            assert report is not None
            assert report.is_clean, report.differences[:5]
        results = workers.end()
        ends = end_offsets(own_broker, "t")
        wait_until(lambda: next_offsets(store) == ends, "the end of the log", members)
        members.stop()
    assert ": right (" in cli.good("verify")
    assert [each["stats"]["dropped"] for each in results.values()] == [0] * len(WORKERS)
    given = {k: v for each in results.values() for k, v in each["model"].items()}
    assert differences(stored_model(store, FIELDS), given) == {}


def _wait_for_progress(store: str, members: Members) -> None:
    before = next_offsets(store)
    wait_until(lambda: next_offsets(store) != before, "progress", members)
