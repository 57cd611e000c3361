"""kill -9 at random moments: after each the store is the fold of a prefix of the log."""

from __future__ import annotations

import json
import random
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.workload import Workload, fill
from tests import oracle
from tests.e2e.conftest import CommandLine
from tests.services.kafka import Broker
from tests.services.topics import StoredRecord, read_all

pytestmark = pytest.mark.kafka

_EARLY_KILLS = 0.2
"""The share of kills while the service starts; the others come while it folds."""

_STARTING_SECONDS = 0.5
_FOLDING_SECONDS = 0.6


def test_killed_at_random_moments(
    broker: Broker, topic: str, cli: CommandLine, folder: Path
) -> None:
    """The short form of the one below; here the prefix is proved after every kill."""
    workload = Workload(events=150_000, sessions=13_500, live=2_000, seed=3)
    fill(broker.bootstrap_servers, topic, workload)
    records = read_all(broker, topic)
    kills = _kill_at_random(cli, folder, random.Random(3), kills=5, batch_records=4_000)
    assert len([dump for dump in kills if _folded(dump)]) >= 2, "the kills came too early"
    for dump in kills:
        _assert_fold_of_prefix(dump, records)
    cli.good("run", "--until-caught-up")
    _assert_fold_of_prefix(_dump(cli), records)
    assert _folded(_dump(cli)) == workload.events


@pytest.mark.soak
def test_twenty_kills_in_a_million_events(
    broker: Broker, topic: str, cli: CommandLine, folder: Path
) -> None:
    """1,000,000 events of 90,000 sessions: the end is the plain fold's, event counts included."""
    workload = Workload(events=1_000_000, sessions=90_000)
    fill(broker.bootstrap_servers, topic, workload)
    kills = _kill_at_random(cli, folder, random.Random(20), kills=20, batch_records=5_000)
    assert len([dump for dump in kills if _folded(dump)]) >= 10, "the kills came too early"
    cli.good("run", "--until-caught-up")
    _assert_fold_of_prefix(_dump(cli), read_all(broker, topic))
    assert _folded(_dump(cli)) == workload.events


def _kill_at_random(
    cli: CommandLine, folder: Path, chance: random.Random, *, kills: int, batch_records: int
) -> list[list[dict[str, Any]]]:
    """Kill the service so often while it folds; return the store's dump after each kill."""
    dumps: list[list[dict[str, Any]]] = []
    while len(dumps) < kills:
        process = cli.start("run", "--until-caught-up", "--batch-records", str(batch_records))
        _wait_at_random(process, chance)
        process.kill()
        _, words = process.communicate()
        if process.returncode == 0:
            # It was done before it was killed: that proves nothing, so once more from the start.
            for file in folder.glob("sessions.db*"):
                file.unlink()
            dumps.clear()
            continue
        assert process.returncode == -9, words
        if (folder / "sessions.db").exists():
            dumps.append(_dump(cli))
    return dumps


def _wait_at_random(process: subprocess.Popen[str], chance: random.Random) -> None:
    if chance.random() < _EARLY_KILLS:
        time.sleep(chance.uniform(0, _STARTING_SECONDS))
        return
    assert process.stderr is not None
    assert any("took over partitions" in line for line in process.stderr)
    time.sleep(chance.uniform(0, _FOLDING_SECONDS))


def _dump(cli: CommandLine) -> list[dict[str, Any]]:
    ended = cli("store", "dump")
    if "no store yet" in ended.stderr:
        return []  # killed before the file was made into one
    assert ended.returncode == 0, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def _folded(dump: list[dict[str, Any]]) -> int:
    return sum(line["event_count"] for line in dump if line["kind"] == "state")


def _assert_fold_of_prefix(dump: list[dict[str, Any]], records: list[StoredRecord]) -> None:
    positions = {d["partition"]: d["next_offset"] for d in dump if d["kind"] == "position"}
    prefix = [each for each in records if each.offset < positions.get(each.partition, 0)]
    states = [
        {name: value for name, value in line.items() if name != "kind"}
        for line in dump
        if line["kind"] == "state"
    ]
    assert states == oracle.ordered(oracle.fold(prefix).states)
