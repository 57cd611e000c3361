"""Mutated records among many: 50,000 of them in 1,000,000."""

from __future__ import annotations

import pytest

from benchmarks.garbage import Comparison, rounds
from benchmarks.workload import Workload
from tests.services.kafka import Broker

pytestmark = pytest.mark.kafka


@pytest.mark.parametrize("events", [30_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_mutated_records_among_many(broker: Broker, events: int) -> None:
    """All that the reference accepts is folded, the rest set aside.

    What it costs is measured by ``python -m benchmarks.garbage``.
    """
    workload = Workload(events=events, sessions=events // 11)
    comparison = Comparison.fill(broker, workload, events // 20, partitions=12)
    rounds(comparison, 1)
    report = comparison.verify()
    assert report.is_clean, report.differences[:5]
    assert report.records == events
    assert events // 25 < report.dead_letters < events // 20
