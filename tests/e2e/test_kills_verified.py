"""kill -9 while workers publish: ``verify`` is clean after each, and nothing acknowledged is lost.

The soak says how long recoveries took: ``pytest -m soak --log-cli-level=INFO`` with this file.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from sessionfold_consumer.config import Settings
from sessionfold_consumer.errors import ConfigurationError
from tests.e2e.conftest import CommandLine
from tests.e2e.kills import Killer
from tests.e2e.members import Members, Oracle, next_offsets, stored_model, wait_until
from tests.e2e.outage.fleet import Fleet
from tests.e2e.outage.log import FIELDS, differences
from tests.services.kafka import Broker
from tests.services.topics import end_offsets

pytestmark = pytest.mark.kafka

GROUP = ("first", "second", "third")
WORKERS = ("one", "two", "three", "four")
RATE = 2_000
"""Updates a second, by all workers together."""

QUICK = ("-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=1000")
"""How soon a group does without a member that was killed: after 6 s instead of 45 s."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """Workers that publish, into a topic that services fold into one store."""

    broker: Broker
    topic: str
    cli: CommandLine
    folder: Path

    def check_kills(
        self, names: tuple[str, ...], kills: int, options: tuple[str, ...], *, is_static: bool
    ) -> None:
        """Kill so many services, and hold the store to the log each time and at the end."""
        store = self.cli.environment["SESSIONFOLD_STORE"]
        members = Members(self.cli, self.folder, options, is_static=is_static)
        with self._publishing() as workers, members:
            for name in names:
                members.start(name)
            wait_until(lambda: any(next_offsets(store).values()), "a first commit", members)
            chance = random.Random(kills)
            found = Killer(members, names, store, self._oracle(store), chance).kill(kills)
            assert [each for each in found if each.report is not None], "nothing was verified"
            results = workers.end()
            ends = end_offsets(self.broker, self.topic)
            wait_until(lambda: next_offsets(store) == ends, "the end of the log", members)
            members.stop()
        assert ": right (" in self.cli.good("verify")
        given = {k: v for each in results.values() for k, v in each["model"].items()}
        assert differences(stored_model(store, FIELDS), given) == {}

    @contextmanager
    def _publishing(self) -> Iterator[Fleet]:
        servers = self.broker.bootstrap_servers
        fleet = Fleet(WORKERS, self.folder, bootstrap_servers=servers, topic=self.topic)
        with fleet as workers:
            workers.begin_earlier()
            workers.start(RATE)
            yield workers

    def _oracle(self, store: str) -> Oracle:
        servers = self.broker.bootstrap_servers
        return Oracle(Settings(bootstrap_servers=servers, topic=self.topic, store=store))


@pytest.fixture
def scene(broker: Broker, topic: str, cli: CommandLine, folder: Path) -> Scene:
    """A topic and a store that are not there yet."""
    return Scene(broker=broker, topic=topic, cli=cli, folder=folder)


@pytest.mark.parametrize("kills", [5, pytest.param(150, marks=pytest.mark.soak)])
def test_one_process_on_sqlite(scene: Scene, kills: int) -> None:
    """Started again under its name, it goes on at once."""
    scene.check_kills(("only",), kills, QUICK, is_static=True)


@pytest.mark.soak
def test_one_process_on_sqlite_without_a_name(scene: Scene) -> None:
    """Its group first has to notice that the killed one is gone."""
    scene.check_kills(("only",), 15, QUICK, is_static=False)


@pytest.fixture
def in_postgres(scene: Scene, database: str) -> Scene:
    """The same scene with its store in a database that was migrated, as operators have to."""
    scene.cli.environment["SESSIONFOLD_STORE"] = database
    migrated = scene.cli("store", "migrate")
    if migrated.returncode == ConfigurationError.exit_code:
        pytest.skip(migrated.stderr)
    assert migrated.returncode == 0, migrated.stderr
    return scene


@pytest.mark.parametrize("kills", [5, pytest.param(110, marks=pytest.mark.soak)])
def test_one_of_three_on_postgres(in_postgres: Scene, kills: int) -> None:
    """Started again under its name, it gets its partitions back, and the others keep theirs."""
    in_postgres.check_kills(GROUP, kills, QUICK, is_static=True)


@pytest.mark.soak
def test_one_of_three_on_postgres_without_names(in_postgres: Scene) -> None:
    """The others take its partitions over, when the group has noticed that it is gone."""
    in_postgres.check_kills(GROUP, 40, QUICK, is_static=False)
