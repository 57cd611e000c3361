"""``sessionfold audit``: what never arrived."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING

import click

from ..config import Settings, load
from ..errors import EventsMissingError
from ..source import Span
from ..state import State
from ..store import open_store
from . import _options
from ._logging import show_info
from ._output import print_json

if TYPE_CHECKING:
    from ..answers.audit import Audit, Moments

_GROUP_ID = "sessionfold-audit"
"""Only names the client to the broker: no group is joined."""


@click.command("audit")
@click.option(
    "--since",
    type=_options.MOMENT,
    metavar="TIME",
    help="Judge events from this record time on: 2026-03-01T12:00:00Z (UTC unless it says "
    "otherwise), or an age like 15m, 2h, 7d. From the log's start by default.",
)
@click.option(
    "--until",
    type=_options.MOMENT,
    metavar="TIME",
    help="Judge events before this record time. Up to now by default.",
)
@click.option(
    "--open-longer-than",
    "open_seconds",
    type=_options.AGE,
    metavar="AGE",
    help="Name also the sessions of the store that began at least this long ago, in the range, and "
    "have not ended.",
)
@click.option(
    "--grace",
    "grace_seconds",
    type=_options.AGE,
    default="1m",
    show_default=True,
    metavar="AGE",
    help="How long an event may be on its way. So much more is read at both ends of the range, and "
    "what was missing for a shorter time is not judged yet.",
)
@_options.as_json
@_options.broker_options
@_options.store
def command(
    since: int | None,
    until: int | None,
    open_seconds: int | None,
    grace_seconds: int,
    as_json: bool,
    kafka_options: tuple[str, ...],
    **options: object,
) -> None:
    """Say what never arrived: gaps in the numbers of each producer's events, and lost updates.

    Each producer counts its events over all its sessions and partitions; a number that no partition
    has is missing. Also told: numbers that came twice or out of order in a partition. Reads the log
    alone; the store is asked for --open-longer-than only. Memory is about 1 KiB a producer.

    Exits with 0 when nothing is missing, or with 24.
    """
    if since is not None and until is not None and until <= since:
        raise click.UsageError("--until is not behind --since, so the range is empty; change one")
    settings = load(options, kafka_options)
    show_info()
    from ..answers.audit import Moments
    from ._audit_report import json_report, print_report

    now = time.time_ns() // 1000
    moments = Moments(since=_milliseconds(since), until=_milliseconds(until))
    found, spans = _audited(settings, moments, now // 1000, grace_seconds * 1000)
    sessions = None if open_seconds is None else _open(settings, since, until, now, open_seconds)
    if as_json:
        print_json(json_report(found, spans, sessions))
    else:
        print_report(found, spans, sessions, now)
    if found.missing or found.lost or sessions:
        raise EventsMissingError(found.missing, found.lost, len(sessions or ()))


def _audited(
    settings: Settings, moments: Moments, now: int, grace: int
) -> tuple[Audit, Mapping[int, Span]]:
    """Audit the log; times in milliseconds."""
    from ..answers.audit import Auditor
    from ..broker import Broker
    from ..source.kafka import KafkaSource
    from ._progress import progress_reporter

    broker = Broker(settings)
    partitions = range(broker.partition_count(settings.topic))
    with closing(KafkaSource(settings, _GROUP_ID, partitions)) as source:
        marks = {each: source.watermarks(each) for each in partitions}
        begins = {partition: mark.low for partition, mark in marks.items()}
        ends = {partition: mark.high for partition, mark in marks.items()}
        if moments.since is not None:
            begins = broker.offsets_at(settings.topic, partitions, moments.since - grace)
        if moments.until is not None:
            ends |= broker.offsets_at(settings.topic, partitions, moments.until + grace)
        spans = {each: Span(begins[each], max(begins[each], ends[each])) for each in partitions}
        auditor = Auditor(
            moments,
            settled=now - grace,
            is_whole=not any(span.begin for span in spans.values()),
        )
        with progress_reporter() as progress:
            auditor.read(source, spans, progress.progressed)
    return auditor.audit(), spans


def _open(
    settings: Settings, since: int | None, until: int | None, now: int, open_seconds: int
) -> list[State]:
    """Return the store's sessions that have been open for so long; times in microseconds."""
    from ..answers.open_sessions import open_sessions
    from ._log_access import confirm_topic

    latest = now - open_seconds * 1_000_000
    with closing(open_store(settings.store, read_only=True)) as store:
        confirm_topic(settings, store.info().identity)
        return list(open_sessions(store, since, latest if until is None else min(latest, until)))


def _milliseconds(microseconds: int | None) -> int | None:
    """Return the first whole millisecond that is not before a time."""
    return None if microseconds is None else -(-microseconds // 1000)
