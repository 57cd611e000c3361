"""Many events in one run, in bounded memory; with ``make soak`` a million."""

from __future__ import annotations

import json
import os

import pytest

from benchmarks.workload import Workload, fill
from tests.e2e.conftest import CommandLine
from tests.services.kafka import Broker

pytestmark = pytest.mark.kafka

_PEAK_MEGABYTES = 400


@pytest.mark.parametrize(
    "workload",
    [
        Workload(events=200_000, sessions=18_000),
        pytest.param(Workload(events=1_000_000, sessions=90_000), marks=pytest.mark.soak),
    ],
    ids=lambda workload: f"{workload.events:,}",
)
def test_many_events_in_bounded_memory(
    broker: Broker, topic: str, cli: CommandLine, workload: Workload
) -> None:
    """Folded from a real broker by one process, none lost and none twice."""
    fill(broker.bootstrap_servers, topic, workload)
    process = cli.start("run", "--until-caught-up")
    assert process.stderr is not None
    words = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.communicate()
    assert process.returncode == 0, words
    assert f"folded {workload.events:,} records" in words
    assert usage.ru_maxrss * 1024 < _PEAK_MEGABYTES * 1_000_000
    states = json.loads(cli.good("list", "--json"))
    assert len(states) == workload.sessions
    assert sum(state["event_count"] for state in states) == workload.events
