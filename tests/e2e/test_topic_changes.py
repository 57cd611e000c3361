"""The topic changes under a running service: it ends, and folds no record of another topic."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from benchmarks.workload import Workload
from sessionfold_consumer.config import Settings
from tests.e2e.conftest import CommandLine
from tests.e2e.members import Oracle
from tests.services.kafka import Broker
from tests.services.topics import (
    add_partitions,
    append,
    configure_topic,
    create_topic,
    delete_records,
    delete_topic,
)

pytestmark = pytest.mark.kafka

_ANSWERED_SECONDS = 1.0
"""After that the broker has answered, with nothing, what a frozen service had asked."""

_RECORDS = list(Workload(events=60, sessions=6, live=3).records())


def _recreate(broker: Broker, topic: str) -> None:
    delete_topic(broker, topic)
    create_topic(broker, topic)
    append(broker, topic, _RECORDS[20:])


def _repartition(broker: Broker, topic: str) -> None:
    add_partitions(broker, topic, 6)
    append(broker, topic, _RECORDS[20:40])


def _compact(broker: Broker, topic: str) -> None:
    configure_topic(broker, topic, "cleanup.policy", "compact")


@pytest.mark.parametrize(
    ("change", "codes"),
    # One that looks while the topic is gone finds it missing.
    [(_recreate, {7, 11}), (_repartition, {11}), (delete_topic, {7}), (_compact, {8})],
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


def test_a_running_service_notices_that_records_are_gone(
    broker: Broker, topic: str, cli: CommandLine
) -> None:
    """Deleted while it was frozen, before it had read them: it ends, and folds nothing behind."""
    append(broker, topic, _RECORDS[:20], partition=1)
    cli.good("run", "--until-caught-up")
    before = _states(cli)
    service = cli.start("run")
    assert service.stderr is not None
    assert any("took over partitions" in line for line in service.stderr)
    os.kill(service.pid, signal.SIGSTOP)
    time.sleep(_ANSWERED_SECONDS)
    append(broker, topic, _RECORDS[20:], partition=1)
    delete_records(broker, topic, 1, before=25)
    os.kill(service.pid, signal.SIGCONT)
    words = _end(service)
    assert service.returncode == 12, words
    assert "offsets 20 to 24 were deleted before they were folded" in words
    assert _states(cli) == before


def test_a_gap_is_passed_over_only_when_it_is_named(
    broker: Broker, topic: str, cli: CommandLine
) -> None:
    """At the start: it ends and names the gap; as an option that goes on, and stays on record."""
    append(broker, topic, _RECORDS[:20], partition=1)
    cli.good("run", "--until-caught-up")
    append(broker, topic, _RECORDS[20:], partition=1)
    oracle = Oracle(_settings(cli))
    oracle.check()  # from here on it knows what the log is about to lose
    delete_records(broker, topic, 1, before=30)
    before = _states(cli)
    for options in [(), ("--accept-gap", "1:20-28"), ("--accept-gap", "0:20-29")]:
        refused = cli("run", *options)
        assert refused.returncode == 12, refused.stderr
        assert "sessionfold run --accept-gap 1:20-29" in refused.stderr
        assert _states(cli) == before
    cli.good("run", "--until-caught-up", "--accept-gap", "1:20-29")
    assert _lines(cli, "gap") == [{"kind": "gap", "partition": 1, "first": 20, "end": 30}]
    report = oracle.check()
    assert report is not None
    assert report.is_clean, report.differences
    assert [note.kind for note in report.notes] == ["gap"]
    assert report.records == 50


def _end(service: subprocess.Popen[str]) -> str:
    try:
        _, words = service.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        service.kill()
        _, words = service.communicate()
    return words


def _states(cli: CommandLine) -> list[object]:
    return _lines(cli, "state")


def _lines(cli: CommandLine, kind: str) -> list[object]:
    lines = map(json.loads, cli.good("store", "dump").splitlines())
    return [line for line in lines if line["kind"] == kind]


def _settings(cli: CommandLine) -> Settings:
    names = ("bootstrap_servers", "topic", "store")
    return Settings.model_validate(
        {name: cli.environment[f"SESSIONFOLD_{name.upper()}"] for name in names}
    )
