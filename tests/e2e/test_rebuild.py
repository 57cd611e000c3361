"""``sessionfold rebuild`` beside a live service: nobody who reads or folds is disturbed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionfold_consumer.errors import ConfigurationError
from tests.e2e.conftest import CommandLine
from tests.e2e.rebuilds import Live, load_for, under_load
from tests.services.kafka import Broker

pytestmark = pytest.mark.kafka

ONE = ("only",)
GROUP = ("first", "second", "third")
LENGTHS = [2.0, pytest.param(60.0, marks=pytest.mark.soak)]
"""Seconds of load before each step."""


@pytest.fixture
def on_sqlite(broker: Broker, topic: str, cli: CommandLine, folder: Path) -> Iterator[Live]:
    """One service on a file."""
    with under_load(broker, topic, cli, folder, ONE) as live:
        yield live


@pytest.fixture
def on_postgres(
    broker: Broker, topic: str, cli: CommandLine, folder: Path, database: str
) -> Iterator[Live]:
    """Three services in one group on a database that was migrated, as operators have to."""
    cli.environment["SESSIONFOLD_STORE"] = database
    migrated = cli("store", "migrate")
    if migrated.returncode == ConfigurationError.exit_code:
        pytest.skip(migrated.stderr)
    assert migrated.returncode == 0, migrated.stderr
    with under_load(broker, topic, cli, folder, GROUP) as live:
        yield live


@pytest.mark.parametrize("seconds", LENGTHS)
def test_one_service_on_sqlite_is_not_disturbed(on_sqlite: Live, seconds: float) -> None:
    """By a rebuild, by its undoing, or when the other state is thrown away."""
    check_all_steps(on_sqlite, seconds)


@pytest.mark.parametrize("seconds", LENGTHS)
def test_a_group_on_postgres_is_not_disturbed(on_postgres: Live, seconds: float) -> None:
    """The same with three services, of which each has to notice by itself."""
    check_all_steps(on_postgres, seconds)


def check_all_steps(live: Live, seconds: float) -> None:
    """Rebuild, undo and drop under load, and hold the store to the log after each."""
    load_for(seconds, live)
    for options, generation in ((), "b"), (("--undo",), "a"):
        assert ("the same" in live.good(*options)) == (options == ())
        assert (live.info().generation, live.info().shadow) == (generation, "kept")
        live.wait_for_progress()
        live.assert_verified()
        load_for(seconds, live)
    live.good("--drop-old")
    assert (live.info().generation, live.info().shadow) == ("a", "empty")
    live.wait_for_progress()
    live.end()
