"""What a service tells Prometheus: the one closed list of metrics, and what fills them.

No metric has a label whose values come from records: their number would have no bound.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Literal, get_args

import prometheus_client as prometheus

from sessionfold_schemas import Reason, current

from .commit import Commit
from .health import Health
from .lag import Lag
from .observer import Cause, Observer, Progress, Stage
from .store.protocol import FATAL_REASON

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LATENCY_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 86_400)
_STAGE_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One metric, as Prometheus sees it."""

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: Mapping[str, Sequence[str]]
    """Each label and its values; none when they are partitions or versions."""
    unit: str
    buckets: Sequence[float] = ()
    """Upper bounds, for a histogram."""


def _counter(name: str, unit: str, text: str, **labels: Sequence[str]) -> Metric:
    return Metric(name=name, kind="counter", help=text, labels=labels, unit=unit)


def _gauge(name: str, unit: str, text: str, **labels: Sequence[str]) -> Metric:
    return Metric(name=name, kind="gauge", help=text, labels=labels, unit=unit)


def _histogram(name: str, text: str, buckets: Sequence[float], **labels: Sequence[str]) -> Metric:
    return Metric(
        name=name, kind="histogram", help=text, labels=labels, unit="seconds", buckets=buckets
    )


METRICS = (
    _counter(
        "sessionfold_records_total",
        "records",
        "Records that were folded and stored, dead letters included.",
    ),
    _counter(
        "sessionfold_dead_letters_total",
        "records",
        "Records that were set aside.",
        reason=(*get_args(Reason), "decoders_disagree", FATAL_REASON),
    ),
    _counter("sessionfold_batches_total", "batches", "Batches that were stored."),
    _histogram(
        "sessionfold_stage_duration_seconds",
        "Time of a batch in each stage; the wait for its records is part of fetch.",
        _STAGE_SECONDS,
        stage=get_args(Stage),
    ),
    _histogram(
        "sessionfold_end_to_end_latency_seconds",
        "From the timestamp of the oldest record of each batch until it was stored.",
        _LATENCY_SECONDS,
    ),
    _gauge(
        "sessionfold_lag_records",
        "records",
        "Records in the log that are not stored yet, in the partitions that this process holds.",
    ),
    _gauge(
        "sessionfold_lag_seconds",
        "seconds",
        "Age that the oldest record that is not stored yet can have at most; 0 for none.",
    ),
    _gauge(
        "sessionfold_partition_lag_records",
        "records",
        "Records of a partition that are not stored yet.",
        partition=(),
    ),
    _gauge(
        "sessionfold_partition_next_offset",
        "offset",
        "Offset of the next record to fold of a partition.",
        partition=(),
    ),
    _gauge(
        "sessionfold_partition_end_offset",
        "offset",
        "Offset that the next record of a partition will have.",
        partition=(),
    ),
    _gauge("sessionfold_partitions", "partitions", "Partitions that this process holds."),
    _counter(
        "sessionfold_rebalanced_partitions_total",
        "partitions",
        "Partitions that this process has taken over, or given up.",
        change=("assigned", "revoked"),
    ),
    _counter(
        "sessionfold_fenced_partitions_total",
        "partitions",
        "Partitions whose position another process had moved or claimed: what was refused.",
    ),
    _counter(
        "sessionfold_waits_total",
        "times",
        "Times that broker or store failed in what was asked, and will be asked again.",
        cause=get_args(Cause),
    ),
    _gauge("sessionfold_waiting", "0 or 1", "Whether the service waits for broker or store."),
    _counter(
        "sessionfold_client_renewals_total",
        "times",
        "Times that the Kafka client was closed and made anew.",
    ),
    _gauge("sessionfold_ready", "0 or 1", "Whether /readyz answers 200."),
    _gauge(
        "sessionfold_last_commit_timestamp_seconds",
        "seconds",
        "When a batch was stored the last time; 0 for never.",
    ),
    _gauge(
        "sessionfold_last_record_timestamp_seconds",
        "seconds",
        "The latest timestamp of a record that was stored; 0 for none.",
    ),
    _gauge(
        "sessionfold_head_age_seconds",
        "seconds",
        "Since the broker said where the log ends; NaN when it never did.",
    ),
    _gauge("sessionfold_start_timestamp_seconds", "seconds", "When this process began to watch."),
    _gauge(
        "sessionfold_build_info",
        "1",
        "The release, and the version of the contract that it folds by.",
        version=(),
        contract=(),
    ),
)
"""Every metric of the service. The process's own (``process_…``, on Linux) stand beside them."""


class Metrics(Observer):
    """Counts what a service does, for one process. :meth:`text` may be called from any thread.

    Args:
        lag: sees the same service.
        health: sees the same service.
        wall: seconds since the epoch.
    """

    def __init__(self, lag: Lag, health: Health, wall: Callable[[], float] = time.time) -> None:
        # Otherwise each counter would have a second metric, with its birthday.
        prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._lag = lag
        self._health = health
        self._wall = wall
        self._lock = threading.Lock()
        self._registry = prometheus.CollectorRegistry()
        self._counters: dict[str, prometheus.Counter] = {}
        self._gauges: dict[str, prometheus.Gauge] = {}
        self._histograms: dict[str, prometheus.Histogram] = {}
        for each in METRICS:
            self._make(each)
        prometheus.ProcessCollector(registry=self._registry)
        self._gauge("start_timestamp_seconds").set(wall())
        self._gauge("build_info").labels(
            version=metadata.version("sessionfold"), contract=str(current().version)
        ).set(1)

    def progressed(self, progress: Progress) -> None:
        """Take whether the service waits; how far it is, ``lag`` knows."""
        self._gauge("waiting").set(progress.waiting is not None)

    def staged(self, stage: Stage, seconds: float) -> None:
        """Take the time that one batch took in one stage."""
        self._histograms["sessionfold_stage_duration_seconds"].labels(stage=stage).observe(seconds)

    def committed(self, commit: Commit) -> None:
        """Take what was stored just now."""
        now = self._wall()
        self._counter("batches").inc()
        self._counter("records").inc(commit.records)
        for reason, count in Counter(each.reason for each in commit.dead_letters).items():
            self._counter("dead_letters").labels(reason=reason).inc(count)
        self._gauge("last_commit_timestamp_seconds").set(now)
        if commit.timestamps is not None and commit.timestamps[0] > 0:
            oldest, newest = (each / 1000 for each in commit.timestamps)
            latency = self._histograms["sessionfold_end_to_end_latency_seconds"]
            latency.observe(max(0.0, now - oldest))
            self._gauge("last_record_timestamp_seconds").set(newest)

    def assigned(self, partitions: Collection[int]) -> None:
        """Take the partitions that this process has taken over."""
        self._counter("rebalanced_partitions").labels(change="assigned").inc(len(partitions))

    def revoked(self, partitions: Collection[int]) -> None:
        """Take the partitions that this process has given up."""
        self._counter("rebalanced_partitions").labels(change="revoked").inc(len(partitions))

    def fenced(self, partitions: Collection[int]) -> None:
        """Take the partitions whose positions another process had moved or claimed."""
        self._counter("fenced_partitions").inc(len(partitions))

    def waits(self, cause: Cause) -> None:
        """Take that broker or store did not do what was asked."""
        self._counter("waits").labels(cause=cause).inc()

    def renewed(self) -> None:
        """Take that the Kafka client was closed and made anew."""
        self._counter("client_renewals").inc()

    def text(self) -> bytes:
        """Return all metrics as they are now, in Prometheus's text format."""
        with self._lock:
            self._look()
            return prometheus.generate_latest(self._registry)

    def _look(self) -> None:
        """Set what is not told but looked up."""
        places = self._lag.places()
        self._gauge("partitions").set(len(places))
        self._gauge("lag_records").set(sum(place.lag for place in places))
        self._gauge("lag_seconds").set(self._lag.seconds())
        head_seconds = self._lag.head_seconds()
        self._gauge("head_age_seconds").set(float("nan") if head_seconds is None else head_seconds)
        self._gauge("ready").set(self._health.ready().is_good)
        self._show_partitions("lag_records", {place.partition: place.lag for place in places})
        self._show_partitions(
            "next_offset", {place.partition: place.next_offset for place in places}
        )
        self._show_partitions("end_offset", {place.partition: place.end for place in places})

    def _show_partitions(self, name: str, values: Mapping[int, int]) -> None:
        gauge = self._gauge(f"partition_{name}")
        gauge.clear()
        for partition, value in values.items():
            gauge.labels(partition=str(partition)).set(value)

    def _counter(self, name: str) -> prometheus.Counter:
        return self._counters[f"sessionfold_{name}_total"]

    def _gauge(self, name: str) -> prometheus.Gauge:
        return self._gauges[f"sessionfold_{name}"]

    def _make(self, metric: Metric) -> None:
        names = [*metric.labels]
        made: prometheus.Counter | prometheus.Gauge | prometheus.Histogram
        if metric.kind == "counter":
            made = prometheus.Counter(metric.name, metric.help, names, registry=self._registry)
            self._counters[metric.name] = made
        elif metric.kind == "gauge":
            made = prometheus.Gauge(metric.name, metric.help, names, registry=self._registry)
            self._gauges[metric.name] = made
        else:
            made = prometheus.Histogram(
                metric.name, metric.help, names, registry=self._registry, buckets=metric.buckets
            )
            self._histograms[metric.name] = made
        # A rate needs to see the 0 before the first count.
        for label, values in metric.labels.items():
            for value in values:
                made.labels(**{label: value})
