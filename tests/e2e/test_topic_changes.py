"""The topic changes under a running service: it ends, and folds no record of another topic."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

import pytest

from benchmarks.workload import Workload
from tests.e2e.conftest import CommandLine
from tests.services.kafka import Broker
from tests.services.topics import add_partitions, append, create_topic, delete_topic

pytestmark = pytest.mark.kafka

_RECORDS = list(Workload(events=60, sessions=6, live=3).records())


def _recreate(broker: Broker, topic: str) -> None:
    delete_topic(broker, topic)
    create_topic(broker, topic)
    append(broker, topic, _RECORDS[20:])


def _repartition(broker: Broker, topic: str) -> None:
    add_partitions(broker, topic, 6)
    append(broker, topic, _RECORDS[20:40])


@pytest.mark.parametrize(
    ("change", "codes"),
    # One that looks while the topic is gone finds it missing.
    [(_recreate, {7, 11}), (_repartition, {11}), (delete_topic, {7})],
)
def test_a_running_service_notices(
    broker: Broker,
    topic: str,
    cli: CommandLine,
    change: Callable[[Broker, str], None],
    codes: set[int],
) -> None:
    """What is in the store afterwards is the fold of the topic as it was."""
    append(broker, topic, _RECORDS[:20])
    cli.good("run", "--until-caught-up")
    before = _states(cli)
    service = cli.start("run")
    assert service.stderr is not None
    assert any("took over partitions" in line for line in service.stderr)
    change(broker, topic)
    words = _end(service)
    assert service.returncode in codes, words
    assert topic in words
    if change is not _repartition:
        assert _states(cli) == before


def _end(service: subprocess.Popen[str]) -> str:
    try:
        _, words = service.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        service.kill()
        _, words = service.communicate()
    return words


def _states(cli: CommandLine) -> list[object]:
    lines = map(json.loads, cli.good("store", "dump").splitlines())
    return [line for line in lines if line["kind"] == "state"]
