"""Fixtures that reach over all tests: real servers, a fresh topic, hypothesis profiles.

Environment:
    SESSIONFOLD_TEST_BOOTSTRAP_SERVERS: test against this broker instead of starting one.
    SESSIONFOLD_TEST_POSTGRES_URL: test on this PostgreSQL, as a user who may create databases.
    SESSIONFOLD_TEST_CACHE: where servers' programs are kept (default: ``.cache`` in the checkout).
    SESSIONFOLD_TEST_PROFILE: hypothesis profile, ``default`` or ``soak``.
    CI: when set, a missing service fails the tests that need it instead of skipping them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.services.kafka import Broker, KafkaBroker, kafka_available
from tests.services.postgres import (
    Postgres,
    PostgresServer,
    database_name,
    postgres_available,
)
from tests.services.topics import create_topic, unique_topic_name

settings.register_profile("default", deadline=None, max_examples=100)
settings.register_profile(
    "soak",
    deadline=None,
    max_examples=2_000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile(os.environ.get("SESSIONFOLD_TEST_PROFILE", "default"))

_numbers = count()


@dataclass(frozen=True, kw_only=True)
class GivenBroker:
    """A broker that someone else runs."""

    bootstrap_servers: str


@pytest.fixture(scope="session", autouse=True)
def state_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where workers keep what they cannot deliver, away from the user's own."""
    directory = tmp_path_factory.mktemp("state")
    os.environ["SESSIONFOLD_SPOOL_DIRECTORY"] = str(directory / "spool")  # of wider fixtures
    return directory


@pytest.fixture(autouse=True)
def spool_directory(state_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What one test's workers could not deliver is not adopted by the next test's."""
    directory = state_directory / f"spool-{next(_numbers)}"
    monkeypatch.setenv("SESSIONFOLD_SPOOL_DIRECTORY", str(directory))


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """A real broker, shared by the whole run; a test that harms one takes ``own_broker``."""
    given = os.environ.get("SESSIONFOLD_TEST_BOOTSTRAP_SERVERS")
    if given:
        yield GivenBroker(bootstrap_servers=given)
        return
    require(kafka_available())
    with KafkaBroker.start() as started:
        yield started


@pytest.fixture
def own_broker() -> Iterator[KafkaBroker]:
    """A broker of the test's own, which it may kill, stop and restart."""
    require(kafka_available())
    with KafkaBroker.start() as started:
        yield started


@pytest.fixture
def topic(broker: Broker) -> str:
    """The name of a fresh topic with 4 partitions."""
    name = unique_topic_name()
    create_topic(broker, name)
    return name


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A real PostgreSQL, shared by the whole run; a test that harms one takes ``own_postgres``."""
    given = os.environ.get("SESSIONFOLD_TEST_POSTGRES_URL")
    if given:
        yield Postgres(given)
        return
    require(postgres_available())
    with PostgresServer.start() as started:
        yield started


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of the test's own, durable, which it may kill, stop and restart."""
    require(postgres_available())
    with PostgresServer.start(durable=True) as started:
        yield started


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The URL of a fresh, empty database, dropped after the test."""
    url = postgres.create_database()
    yield url
    postgres.drop_database(database_name(url))


def require(missing: str | None) -> None:
    """Go on when nothing is missing; else skip the test at home and fail it in CI."""
    if missing is None:
        return
    if os.environ.get("CI"):
        pytest.fail(missing)
    pytest.skip(missing)
