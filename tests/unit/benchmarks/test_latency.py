"""How the benchmark of the latency judges, and what it takes for seen."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, replace
from io import FileIO
from itertools import count

import pytest

from benchmarks.latency import Measured, Percentiles, is_good
from benchmarks.latency_reader import Watch, follow
from benchmarks.latency_worker import Account, Probe

ACCOUNT = Account(
    rate=10.0, accepted=2, delivered=2, dropped=0, spooled=0, in_flight=0, coalesced=0
)
FAST = Percentiles(p50=50.0, p95=90.0, p99=150.0, most=1_000.0)
GOOD = Measured(end_to_end=FAST, to_log=FAST, from_log=FAST, probes=100, account=ACCOUNT, missing=0)


def test_percentiles_are_values_that_were_measured() -> None:
    """A percentile is the nearest rank's, whatever the order."""
    found = Percentiles.of([float(each) for each in reversed(range(1_000))])
    assert found == Percentiles(p50=500.0, p95=950.0, p99=990.0, most=999.0)


@pytest.mark.parametrize(
    ("spoiled", "is_met"),
    [
        (GOOD, True),
        (replace(GOOD, end_to_end=replace(FAST, p50=50.1)), False),
        (replace(GOOD, end_to_end=replace(FAST, p99=150.1)), False),
        (replace(GOOD, missing=1), False),
        (replace(GOOD, missing=-1), False),
        (replace(GOOD, account=replace(ACCOUNT, delivered=1)), False),
    ],
)
def test_slow_or_incomplete_is_not_good(spoiled: Measured, is_met: bool) -> None:
    """A missed limit, a lost update, or one too few or many in the store fails the benchmark."""
    assert is_good([spoiled]) is is_met


def test_one_disturbed_round_of_three_is_no_miss() -> None:
    """Times are judged by the median of the rounds; completeness by each of them."""
    slow = replace(GOOD, end_to_end=replace(FAST, p50=80.0, p99=800.0))
    assert is_good([GOOD, slow, GOOD])
    assert not is_good([slow, GOOD, slow])
    assert not is_good([GOOD, replace(GOOD, missing=1), GOOD])


def test_a_probe_is_seen_when_its_value_is_there() -> None:
    """Neither the session alone, nor an older value in it, is the probe."""
    watch = Watch()
    watch.add(Probe("a", 7, 1_000_000))
    watch.saw([], 2_000_000)
    watch.saw([("a", None)], 3_000_000)
    watch.saw([("a", 6.0)], 4_000_000)
    assert (watch.arrivals, watch.sessions) == ([], ["a"])
    watch.saw([("a", 7.0)], 5_000_000)
    assert [each.milliseconds for each in watch.arrivals] == [4.0]
    assert watch.sessions == []


def test_a_value_that_was_replaced_counts_as_seen_then() -> None:
    """A probe is not lost when another of its session comes before the next look."""
    watch = Watch()
    for value in (1, 2, 3):
        watch.add(Probe("a", value, 0))
    watch.saw([("a", 2.0)], 10)
    assert [each.probe.value for each in watch.arrivals] == [1, 2]
    watch.saw([("a", 3.0)], 20)
    assert [each.seen_ns for each in watch.arrivals] == [10, 10, 20]


def test_a_worker_is_followed_until_all_its_probes_are_seen() -> None:
    """Also those that are visible only after its end."""
    looks = count()

    def look(sessions: Sequence[str]) -> list[tuple[str, float | None]]:
        return [(each, 1.0) for each in sessions] if next(looks) > 2 else []

    with _printed(Probe("a", 1, 0).line(), json.dumps(asdict(ACCOUNT))) as lines:
        arrivals, account = follow(lines, look)
    assert [each.probe for each in arrivals] == [Probe("a", 1, 0)]
    assert account == ACCOUNT


def test_a_worker_that_dies_is_no_result() -> None:
    """Without its account nobody knows what should be in the store."""
    with _printed() as lines, pytest.raises(RuntimeError, match="without its account"):
        follow(lines, lambda _: [])


def _printed(*lines: str) -> FileIO:
    """Return the reading end of a pipe into which a process printed these lines, and ended."""
    reading, writing = os.pipe()
    os.write(writing, "".join(f"{line}\n" for line in lines).encode())
    os.close(writing)
    return FileIO(reading)
