"""``sessionfold verify``: is the store the fold of its log?"""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from functools import partial
from typing import Any

import click

from ..config import load
from ..errors import StoreDiffersError
from ..source.kafka import KafkaSource
from ..store import open_store
from ..verify import Difference, Report, Verifier
from . import _options
from ._difference import printable_pair
from ._log_access import confirm_topic
from ._logging import show_info
from ._output import print_json, printable
from ._progress import progress_reporter
from ._spool_table import counted


@click.command("verify")
@click.option(
    "--limit",
    type=click.IntRange(1, 1_000_000),
    default=20,
    show_default=True,
    metavar="N",
    help="Show at most N differences; all are counted.",
)
@_options.as_json
@_options.broker_options
@_options.store
def command(limit: int, as_json: bool, kafka_options: tuple[str, ...], **options: object) -> None:
    """Compare the store with the fold of its log.

    Reads the log again up to the positions of the store, decodes and folds it event by event with
    other code than the service's, and compares every field, offset, count and dead letter. Changes
    nothing; a service may run meanwhile.

    Exits with 0, or with 20 when the store differs. Memory is about 3 KiB a session and its texts;
    the log is read at some 30,000 records a second.
    """
    settings = load(options, kafka_options)
    show_info()
    with closing(open_store(settings.store, read_only=True)) as store:
        info = store.info()
        confirm_topic(settings, info.identity)
        with progress_reporter() as progress:
            report = Verifier(
                partial(KafkaSource, settings, info.group_id),
                max_differences=limit,
                on_progress=progress.progressed,
            ).check(store)
    if as_json:
        print_json(_json_report(report))
    else:
        _print_report(report)
    if not report.is_clean:
        raise StoreDiffersError(report.difference_count)


def _print_report(report: Report) -> None:
    parts = (
        (report.records, "record"),
        (len(report.positions), "partition"),
        (report.sessions, "session"),
        (report.dead_letters, "dead letter"),
    )
    click.echo(
        f"{', '.join(counted(*part) for part in parts)}: "
        f"{counted(report.difference_count, 'difference') if report.differences else 'right'} "
        f"({report.seconds:.1f} s, {report.records_per_second:,.0f} records/s)"
    )
    for note in report.notes:
        click.echo(f"  note: {note.text}")
    for difference in report.differences:
        click.echo(f"  {_line(difference)}")
    rest = report.difference_count - len(report.differences)
    if rest:
        click.echo(f"  and {rest:,} more; show them with --limit")


def _line(difference: Difference) -> str:
    stored, expected = difference.stored, difference.expected
    if difference.field is None:
        words = f"the store has {stored}, the log {expected}"
    else:
        words = "{} is {}, by the log it is {}".format(
            difference.field, *printable_pair(stored, expected)
        )
    return f"{_place(difference)}: {words}"


def _place(difference: Difference) -> str:
    if difference.session_id is not None:
        return f"session {printable(difference.session_id)} in partition {difference.partition}"
    if difference.offset is not None:
        return f"record {difference.partition}:{difference.offset}"
    return f"partition {difference.partition}"


def _json_report(report: Report) -> dict[str, Any]:
    return asdict(report) | {
        "positions": {str(partition): each for partition, each in report.positions.items()},
        "is_clean": report.is_clean,
        "records_per_second": round(report.records_per_second),
    }
