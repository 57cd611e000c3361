"""``sessionfold tail``: records as they arrive."""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import click

from ..answers import Heard, heard
from ..config import load
from . import _options
from ._events import given_fields, head, publisher, shortened, terminal_width, time_of
from ._output import human, json_event, print_json_line, printable
from .run import stop_signals

_GROUP_ID = "sessionfold-tail"
"""Only names the client to the broker: no group is joined."""


@click.command("tail")
@click.option("--session", "session_id", metavar="ID", help="Only this session's records.")
@click.option("--from-start", is_flag=True, help="Begin with the first record of the log.")
@click.option(
    "--since",
    type=_options.MOMENT,
    metavar="TIME",
    help="Begin with the records of this time: 2026-03-01T12:00:00Z (UTC unless it says "
    "otherwise), or an age like 15m, 2h, 7d.",
)
@_options.as_json
@_options.broker_options
def command(
    session_id: str | None,
    from_start: bool,
    since: int | None,
    as_json: bool,
    kafka_options: tuple[str, ...],
    **options: object,
) -> None:
    """Show records as they arrive in the log, until Ctrl+C.

    Needs no store, joins no group and commits nothing. Records that are no valid events are shown
    as refused, with the reason. Begins with what arrives from now on; each partition's records are
    in order.
    """
    if from_start and since is not None:
        raise click.UsageError("--from-start and --since name two beginnings; give one of them")
    settings = load(options, kafka_options)
    from ..broker import Broker
    from ..source.kafka import KafkaSource

    key = None if session_id is None else session_id.encode(errors="surrogateescape")
    width = terminal_width()
    with stop_signals() as is_asked_to_stop, _reader_of_stdout() as is_gone, ExitStack() as stack:
        broker = Broker(settings)
        partitions = range(broker.partition_count(settings.topic))
        source = stack.enter_context(closing(KafkaSource(settings, _GROUP_ID, partitions)))
        if since is not None:
            starts = broker.offsets_at(settings.topic, partitions, -(-since // 1000))
        else:
            marks = {each: source.watermarks(each) for each in partitions}
            starts = {p: mark.low if from_start else mark.high for p, mark in marks.items()}
        for each in heard(
            source, starts, key=key, is_stopped=lambda: is_asked_to_stop() or is_gone()
        ):
            if as_json:
                print_json_line(_json(each))
            else:
                click.echo(shortened(_line(each), width))


@contextmanager
def _reader_of_stdout() -> Iterator[Callable[[], bool]]:
    """Return what says whether the reader of a pipe is gone; end the block in silence then."""
    try:
        yield _nobody_reads
    except BrokenPipeError:
        # What is still buffered has nowhere to go; Python would complain when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _nobody_reads() -> bool:
    """Say whether stdout is a pipe that nobody reads: where nothing arrives, nothing else tells."""
    number = sys.stdout.fileno()
    if not (hasattr(select, "poll") and stat.S_ISFIFO(os.fstat(number).st_mode)):
        return False
    poll = select.poll()
    poll.register(number, 0)  # errors are told whether asked for or not
    return any(events & select.POLLERR for _, events in poll.poll(0))


def _line(arrived: Heard) -> str:
    record, event = arrived.record, arrived.event
    session = printable((record.key or b"").decode(errors="backslashreplace")) or "-"
    if arrived.reason is not None:
        return head(
            record, session, f"refused ({arrived.reason}): {printable(str(arrived.detail))}"
        )
    given = (
        f"{field.name}={human(field.name, event[field.name])}" for field in given_fields(event)
    )
    return head(record, session, publisher(event), *given)


def _json(arrived: Heard) -> dict[str, Any]:
    record = arrived.record
    return {
        "partition": record.partition,
        "offset": record.offset,
        "timestamp": time_of(record),
        "key": None if record.key is None else record.key.hex(),
        "reason": arrived.reason,
        "detail": arrived.detail,
        "event": None if arrived.reason else json_event(arrived.event),
    }
