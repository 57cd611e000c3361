"""The benchmark of the latency, on a small scale: that it sees what it says it sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.latency import measure
from benchmarks.latency_worker import Plan
from tests.e2e.conftest import store_url
from tests.services.kafka import Broker

pytestmark = pytest.mark.kafka

PLAN = Plan(
    rate=500,
    seconds=1.5,
    warm_up_seconds=0.5,
    sessions=50,
    probe_share=0.1,
    probe_sessions=20,
)
MADE = int(PLAN.rate * (PLAN.seconds + PLAN.warm_up_seconds))
"""Updates; each session has a begin and an end beside them."""


def test_each_update_arrives_in_a_file(broker: Broker, folder: Path) -> None:
    """Nothing is lost, and a probe is first in the log, then in the store."""
    _assert_whole(broker, store_url(folder / "sessions.db"), folder)


@pytest.mark.postgres
def test_each_update_arrives_in_postgres(broker: Broker, database: str, folder: Path) -> None:
    """The same with PostgreSQL."""
    _assert_whole(broker, database, folder)


def _assert_whole(broker: Broker, store: str, folder: Path) -> None:
    measured = measure(broker, store, PLAN, folder)
    assert measured.is_whole
    assert measured.account.accepted == MADE + 2 * (PLAN.sessions + PLAN.probe_sessions)
    assert 40 < measured.probes < 110
    # The log's clock has whole milliseconds.
    assert measured.to_log.p50 > -1.0
    assert measured.from_log.p50 > -1.0
    assert measured.end_to_end.p50 > max(measured.to_log.p50, measured.from_log.p50) - 1.0
    assert measured.end_to_end.most > measured.end_to_end.p50 > 0.0
