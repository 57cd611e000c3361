"""Many events in one run, in bounded memory; with ``make soak`` a million."""

from __future__ import annotations

import json

import pytest

from benchmarks.workload import Workload, fill
from tests.e2e.conftest import CommandLine
from tests.services.kafka import Broker

pytestmark = pytest.mark.kafka

_PEAK_BYTES = 400_000_000


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
    launched = cli.launched("run", "--until-caught-up")
    assert launched.returncode == 0, launched.stderr
    assert f"folded {workload.events:,} records" in launched.stderr
    assert json.loads(launched.stdout)["peak_bytes"] < _PEAK_BYTES
    states = json.loads(cli.good("list", "--json"))
    assert len(states) == workload.sessions
    assert sum(state["event_count"] for state in states) == workload.events
