"""Metrics: each thing that happens moves its own, and what is served can be read."""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import metadata

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sessionfold_consumer.health import Health
from sessionfold_consumer.lag import Lag
from sessionfold_consumer.metrics import METRICS, Metrics
from sessionfold_consumer.observer import Observer
from sessionfold_schemas import current
from tests.unit.consumer.observing import WALL, Time, commit, progress

Samples = dict[str, float]
"""What Prometheus reads: the value of each sample, its labels behind the name."""


class Watched:
    """Metrics of a service, with what they look at."""

    def __init__(self) -> None:
        self.time = Time()
        self.lag = Lag(self.time.clock, self.time.wall)
        self.health = Health(self.lag, clock=self.time.clock)
        self.metrics = Metrics(self.lag, self.health, self.time.wall)

    def samples(self) -> Samples:
        """Return what Prometheus reads, those of the process apart."""
        families = text_string_to_metric_families(self.metrics.text().decode())
        return {
            _named(sample.name.removeprefix("sessionfold_"), sample.labels): sample.value
            for family in families
            for sample in family.samples
            if sample.name.startswith("sessionfold_")
        }

    def moved(self, act: Callable[[Metrics], None]) -> Samples:
        """Return which samples something changed, and by how much; buckets apart."""
        before = self.samples()
        act(self.metrics)
        after = self.samples()
        changed = {name: after[name] - before.get(name, 0.0) for name in after}
        return {
            name: change
            for name, change in changed.items()
            if abs(change) > 0 and "_bucket" not in name
        }


def _named(name: str, labels: dict[str, str]) -> str:
    return f"{name}{{{','.join(labels.values())}}}" if labels else name


@pytest.fixture
def watched() -> Watched:
    """A service that has done nothing."""
    return Watched()


def test_every_metric_of_the_list_is_served_and_no_other(watched: Watched) -> None:
    """With its kind and its help; no second series for when a counter was born."""
    families = [
        family
        for family in text_string_to_metric_families(watched.metrics.text().decode())
        if not family.name.startswith("process_")
    ]
    served = {
        family.name + ("_total" if family.type == "counter" else ""): (
            family.type,
            family.documentation,
        )
        for family in families
    }
    assert served == {metric.name: (metric.kind, metric.help) for metric in METRICS}


def test_a_rate_sees_the_first_count(watched: Watched) -> None:
    """Labels whose values are known are served from the start, with 0."""
    samples = watched.samples()
    for metric in METRICS:
        for values in metric.labels.values():
            for value in values:
                suffix = "_count" if metric.kind == "histogram" else ""
                name = f"{metric.name.removeprefix('sessionfold_')}{suffix}{{{value}}}"
                assert samples[name] == 0.0


def test_a_batch(watched: Watched) -> None:
    """Records, batches, dead letters by reason, latency of its oldest record, and when."""
    watched.time.seconds = 10
    stored = commit(0, records=5, seconds=(7.5, 9), reasons=("malformed", "malformed", "fatal"))
    assert watched.moved(lambda each: each.committed(stored)) == {
        "records_total": 5,
        "batches_total": 1,
        "dead_letters_total{malformed}": 2,
        "dead_letters_total{fatal}": 1,
        "end_to_end_latency_seconds_count": 1,
        "end_to_end_latency_seconds_sum": 2.5,
        "last_commit_timestamp_seconds": WALL + 10,
        "last_record_timestamp_seconds": WALL + 9,
    }


def test_a_batch_without_records_or_times_has_no_latency(watched: Watched) -> None:
    """Positions move also over marks of transactions; Kafka has -1 for no time."""
    for seconds in (None, (-WALL - 0.001, -WALL - 0.001)):
        moved = watched.moved(
            lambda each, seconds=seconds: each.committed(commit(0, records=0, seconds=seconds))  # type: ignore[misc]
        )
        assert set(moved) <= {"batches_total", "last_commit_timestamp_seconds"}


def test_a_reason_that_a_later_release_has_is_counted(watched: Watched) -> None:
    """A series more, no error in the service's loop."""
    moved = watched.moved(lambda each: each.committed(commit(0, reasons=("new",))))
    assert moved["dead_letters_total{new}"] == 1


def test_clocks_that_differ_give_no_negative_latency(watched: Watched) -> None:
    """The broker's may be ahead of ours."""
    moved = watched.moved(lambda each: each.committed(commit(0, seconds=(60, 60))))
    assert moved["end_to_end_latency_seconds_count"] == 1
    assert "end_to_end_latency_seconds_sum" not in moved


@pytest.mark.parametrize(
    ("act", "expected"),
    [
        (
            lambda each: each.staged("fold", 0.25),
            {
                "stage_duration_seconds_count{fold}": 1,
                "stage_duration_seconds_sum{fold}": 0.25,
            },
        ),
        (lambda each: each.assigned([1, 2]), {"rebalanced_partitions_total{assigned}": 2}),
        (lambda each: each.revoked([1, 2, 3]), {"rebalanced_partitions_total{revoked}": 3}),
        (lambda each: each.fenced([1]), {"fenced_partitions_total": 1}),
        (lambda each: each.waits("store"), {"waits_total{store}": 1}),
        (lambda each: each.waits("broker"), {"waits_total{broker}": 1}),
        (lambda each: each.renewed(), {"client_renewals_total": 1}),
        (lambda each: each.progressed(progress({}, waiting="x")), {"waiting": 1}),
    ],
    ids=[
        "staged",
        "assigned",
        "revoked",
        "fenced",
        "waits store",
        "waits broker",
        "renewed",
        "progressed",
    ],
)
def test_what_happens_moves_its_metric_and_no_other(
    watched: Watched, act: Callable[[Observer], None], expected: Samples
) -> None:
    """By how much it happened."""
    assert watched.moved(act) == expected


def test_waiting_ends(watched: Watched) -> None:
    """The gauge is what is, not what was."""
    watched.metrics.progressed(progress({}, waiting="x"))
    watched.metrics.progressed(progress({}))
    assert watched.samples()["waiting"] == 0


def test_lag_is_looked_up_when_it_is_asked_for(watched: Watched) -> None:
    """So it grows while the loop hangs, which is when it matters."""
    watched.lag.progressed(progress({0: 5, 2: 7}, {0: 8, 2: 7}))
    watched.lag.told({2: 9}, WALL)
    watched.time.seconds = 30
    samples = watched.samples()
    wanted = {
        "partitions": 2,
        "lag_records": 5,
        "lag_seconds": 30,
        "partition_lag_records{0}": 3,
        "partition_lag_records{2}": 2,
        "partition_next_offset{0}": 5,
        "partition_next_offset{2}": 7,
        "partition_end_offset{0}": 8,
        "partition_end_offset{2}": 9,
        "head_age_seconds": 30,
    }
    assert {name: samples[name] for name in wanted} == wanted


def test_a_partition_that_was_given_up_is_served_no_more(watched: Watched) -> None:
    """Its new owner serves it; two would count its lag twice."""
    watched.lag.progressed(progress({0: 5, 1: 5}))
    watched.samples()
    watched.lag.progressed(progress({1: 5}))
    assert [name for name in watched.samples() if name.startswith("partition_")] == [
        "partition_lag_records{1}",
        "partition_next_offset{1}",
        "partition_end_offset{1}",
    ]


def test_ready_is_what_readyz_answers(watched: Watched) -> None:
    """Asked at the same moment."""
    assert watched.samples()["ready"] == 0
    watched.lag.told({}, WALL)
    watched.health.progressed(progress({}))
    assert watched.samples()["ready"] == 1
    watched.time.seconds = 61
    assert watched.samples()["ready"] == 0


def test_what_it_is(watched: Watched) -> None:
    """Release, contract, and since when; nothing is made up for what is not known."""
    samples = watched.samples()
    version, contract = metadata.version("sessionfold"), current().version
    build = [name for name in samples if name.startswith("build_info")]
    assert [set(each[11:-1].split(",")) for each in build] == [{version, str(contract)}]
    assert samples["start_timestamp_seconds"] == WALL
    assert math.isnan(samples["head_age_seconds"])


def test_two_services_in_one_process_have_metrics_of_their_own(watched: Watched) -> None:
    """Nothing is registered for the whole process."""
    other = Watched()
    other.metrics.renewed()
    assert watched.samples()["client_renewals_total"] == 0
