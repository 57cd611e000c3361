"""What broken records cost: 50,000 mutated ones in 1,000,000."""

from __future__ import annotations

import logging

import pytest

from benchmarks.garbage import Comparison, median_ratio, rounds
from benchmarks.workload import Workload
from tests.services.kafka import Broker

pytestmark = pytest.mark.kafka

logger = logging.getLogger("tests.garbage")

LEAST_RATIO = 0.8
"""Of the rates with and without mutated records, in the same run."""


@pytest.mark.parametrize(
    ("events", "count"), [(30_000, 0), pytest.param(1_000_000, 5, marks=pytest.mark.soak)]
)
def test_mutated_records_among_many(broker: Broker, events: int, count: int) -> None:
    """All that the reference accepts is folded, the rest set aside; it costs a fifth at most.

    What it costs is measured with many records only.
    """
    workload = Workload(events=events, sessions=events // 11)
    comparison = Comparison.fill(broker, workload, events // 20, partitions=12)
    measured = rounds(comparison, count)
    report = comparison.verify()
    assert report.is_clean, report.differences[:5]
    assert report.records == events
    assert events // 25 < report.dead_letters < events // 20
    logger.info("ratios of the rates: %s", [round(each.ratio, 2) for each in measured])
    assert not measured or median_ratio(measured) >= LEAST_RATIO
