"""Nothing but garbage: the service stops itself, before it has set aside the whole log."""

from __future__ import annotations

import random

import pytest

from benchmarks.workload import Workload, append
from tests.e2e.conftest import CommandLine
from tests.services.kafka import Broker

pytestmark = pytest.mark.kafka

RECORDS = 20_000


def test_a_topic_of_garbage_stops_the_service(broker: Broker, topic: str, cli: CommandLine) -> None:
    """With its own code, nothing stored, and again at each start until a person lets it go on."""
    chance = random.Random(5)
    good = Workload(events=RECORDS, sessions=2_000).records()
    garbage = ((key, chance.randbytes(len(value))) for key, value in good)
    append(broker.bootstrap_servers, topic, garbage)
    for _ in range(2):
        ended = cli("run")
        assert ended.returncode == 19, ended.stderr
        assert "records in a row were no valid events" in ended.stderr
    assert "0 records, 4 partitions, 0 sessions, 0 dead letters: right" in cli.good("verify")
    cli.good("store", "resume")
    cli.good("run", "--until-caught-up", "--breaker-ratio", "1", "--breaker-run", "0")
    assert f"{RECORDS:,} records, 4 partitions, 0 sessions, 20,000 dead" in cli.good("verify")
