"""``sessionfold rebuild`` beside a live service: nobody who reads or folds is disturbed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionfold_consumer.errors import ConfigurationError, RebuiltDiffersError
from sessionfold_consumer.store.protocol import other_generation
from tests.e2e.conftest import CommandLine
from tests.e2e.rebuild_kills import RebuildKiller
from tests.e2e.rebuilds import BY_HAND, Live, under_load
from tests.services.kafka import Broker

pytestmark = pytest.mark.kafka

ONE = ("only",)
GROUP = ("first", "second", "third")
AMOUNTS = [(3, 0.5), pytest.param(50, 60.0, marks=pytest.mark.soak)]
"""How many rebuilds are killed, and for how many seconds all goes on before each further step."""


@pytest.fixture
def rate(request: pytest.FixtureRequest) -> int:
    """Updates a second: fewer in the short form, which has two cores for all of it."""
    return 2_000 if request.node.get_closest_marker("soak") else 500


@pytest.fixture
def batches(rate: int) -> dict[str, str]:
    """So that a fill has several transactions, between which it can be killed; not thousands."""
    return {"SESSIONFOLD_BATCH_RECORDS": str(rate)}


@pytest.fixture
def on_sqlite(
    broker: Broker,
    topic: str,
    cli: CommandLine,
    folder: Path,
    rate: int,
    batches: dict[str, str],
) -> Iterator[Live]:
    """One service on a file."""
    cli.environment |= batches
    with under_load(broker, topic, cli, folder, ONE, rate) as live:
        yield live


@pytest.fixture
def on_postgres(
    broker: Broker,
    topic: str,
    cli: CommandLine,
    folder: Path,
    database: str,
    rate: int,
    batches: dict[str, str],
) -> Iterator[Live]:
    """Three services in one group on a database that was migrated, as operators have to."""
    cli.environment |= {"SESSIONFOLD_STORE": database, **batches}
    migrated = cli("store", "migrate")
    if migrated.returncode == ConfigurationError.exit_code:
        pytest.skip(migrated.stderr)
    assert migrated.returncode == 0, migrated.stderr
    with under_load(broker, topic, cli, folder, GROUP, rate) as live:
        yield live


@pytest.mark.parametrize(("kills", "seconds"), AMOUNTS)
def test_one_service_on_sqlite(on_sqlite: Live, folder: Path, kills: int, seconds: float) -> None:
    """It and its readers are not disturbed, by rebuilds that are killed and by one that is not."""
    check_kills(on_sqlite, folder, kills)
    check_changes_by_hand(on_sqlite)
    check_all_steps(on_sqlite, seconds)


@pytest.mark.parametrize(("kills", "seconds"), AMOUNTS)
def test_a_group_on_postgres(on_postgres: Live, folder: Path, kills: int, seconds: float) -> None:
    """The same with three services, of which each has to notice a switch by itself."""
    check_kills(on_postgres, folder, kills)
    check_all_steps(on_postgres, seconds)


def check_kills(live: Live, folder: Path, kills: int) -> None:
    """Kill rebuilds, and hold the store to the log after each."""
    found = RebuildKiller(live, folder, random.Random(kills)).kill(kills)
    assert found["filling"], "no kill came while there was a shadow"


def check_changes_by_hand(live: Live) -> None:
    """Change what is live, of a session that services go on with all the time, and of one at rest.

    Both are named before anything is switched; what is switched then is what the log says.
    """
    if live.info().shadow == "filling":
        live.good("--drop-old")
    before = live.info().generation
    busy = live.change_by_hand(is_finished=False)
    ended = live.rebuild()
    assert ended.returncode == RebuiltDiffersError.exit_code, ended.stderr
    assert f"session {busy} in partition " in ended.stdout
    assert f': session_name is "{BY_HAND}", by the log it is ' in ended.stdout
    assert (live.info().generation, live.info().shadow) == (before, "filling")
    at_rest = live.change_by_hand(is_finished=True)
    words = live.good("--yes")
    assert f"session {busy} in" in words
    assert f"session {at_rest} in" in words
    assert (live.info().generation, live.info().shadow) == (other_generation(before), "kept")
    live.wait_for_progress()
    live.assert_verified()
    live.good("--drop-old")


def check_all_steps(live: Live, seconds: float) -> None:
    """Rebuild, undo and drop, and hold the store to the log after each."""
    before = live.info().generation
    live.go_on_for(seconds)
    for options, generation in ((), other_generation(before)), (("--undo",), before):
        assert ("the same" in live.good(*options)) == (options == ())
        assert (live.info().generation, live.info().shadow) == (generation, "kept")
        live.wait_for_progress()
        live.assert_verified()
        live.go_on_for(seconds)
    live.good("--drop-old")
    assert (live.info().generation, live.info().shadow) == (before, "empty")
    live.wait_for_progress()
    live.end()
