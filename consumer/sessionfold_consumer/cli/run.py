"""``sessionfold run``: the service."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from ..config import Settings, load
from . import _options
from ._logging import show_info
from ._progress import progress_reporter
from ._watching import watching, watching_options

logger = logging.getLogger("sessionfold_consumer")

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_STOP_SECONDS = 9.0
"""How long after a signal a broker or a store that does not answer is waited for."""


@click.command("run")
@click.option(
    "--until-caught-up",
    is_flag=True,
    help="Take all partitions without joining a group, fold up to the present end, and exit. Not "
    "beside a service on the same store: they would take the partitions from each other.",
)
@_options.processes
@click.option(
    "--group-id",
    envvar="SESSIONFOLD_GROUP_ID",
    show_envvar=True,
    help="The consumer group. By default one of the store's own, so that no two stores share one.",
)
@click.option(
    "--group-protocol",
    type=click.Choice(["classic", "consumer"]),
    default="classic",
    show_default=True,
    envvar="SESSIONFOLD_GROUP_PROTOCOL",
    show_envvar=True,
    help="Kafka's group protocol; consumer is KIP-848, for brokers from 4.0 on.",
)
@click.option(
    "--group-instance-id",
    envvar="SESSIONFOLD_GROUP_INSTANCE_ID",
    show_envvar=True,
    metavar="NAME",
    help="A name of this process that stays when it is restarted, so that its partitions wait for "
    "it (static membership); no two processes may have the same.",
)
@click.option(
    "--breaker-ratio",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.5,
    show_default=True,
    envvar="SESSIONFOLD_BREAKER_RATIO",
    show_envvar=True,
    help="Stop when a larger part of the last 1,000 records or more are no valid events; 1: never.",
)
@click.option(
    "--breaker-run",
    type=click.IntRange(0),
    default=1_000,
    show_default=True,
    envvar="SESSIONFOLD_BREAKER_RUN",
    show_envvar=True,
    help="Stop when so many records in a row are no valid events; 0: never.",
)
@click.option(
    "--accept-gap",
    multiple=True,
    metavar="PARTITION:FIRST-LAST",
    help="Go on without these records, which the log no longer has; the error that names them says "
    "so. The store keeps the gap on record. May be repeated.",
)
@_options.batch_records
@watching_options
@_options.broker_options
@_options.store
def command(
    until_caught_up: bool,
    metrics_address: str | None,
    ready_max_lag: int | None,
    kafka_options: tuple[str, ...],
    **options: object,
) -> None:
    """Fold the topic's events into the store.

    Runs until SIGTERM or Ctrl+C, which end it after the batch in hand; a second one ends it at
    once. However it ends, the store is right, and the next run goes on from there.
    """
    settings = load(options, kafka_options)
    if settings.processes > 1:
        _refuse_together(metrics_address, until_caught_up=until_caught_up)
        show_info()
        _catch_up(settings)
        return
    show_info()
    from ..bootstrap import Wiring, service

    wiring = Wiring(in_group=not until_caught_up, to_present_end=until_caught_up)
    stopped = threading.Event()
    with (
        progress_reporter() as report,
        ending_in_time(stopped),
        watching(settings, report, metrics_address, ready_max_lag) as observer,
        service(settings, wiring, observer) as ready,
        stop_signals(stopped) as stopping,
    ):
        report.finish(ready.run(stopping))


def _catch_up(settings: Settings) -> None:
    from ..bootstrap import catch_up

    stopped = threading.Event()
    with (
        progress_reporter() as report,
        ending_in_time(stopped),
        stop_signals(stopped) as stopping,
    ):
        report.finish(catch_up(settings, report, stopping))


def _refuse_together(metrics_address: str | None, *, until_caught_up: bool) -> None:
    if not until_caught_up:
        raise click.UsageError(
            "--processes is for --until-caught-up only; services that run for ever share the "
            "partitions by themselves: start as many of them"
        )
    if metrics_address is not None:
        raise click.UsageError(
            "--processes and --metrics-address (or SESSIONFOLD_METRICS_ADDRESS) exclude each "
            "other; give one of them"
        )


@contextmanager
def ending_in_time(stopped: threading.Event) -> Iterator[None]:
    """End the process, with 0, when the block goes on for long after ``stopped`` was set.

    Whatever is under way then is as if the process had been killed: the store is right.
    """
    ended = threading.Event()

    def watch() -> None:
        stopped.wait()
        if not ended.wait(_STOP_SECONDS):
            logger.warning("broker or store did not answer in time; ended without them")
            os._exit(0)

    threading.Thread(target=watch, name="sessionfold-stop", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        stopped.set()


@contextmanager
def stop_signals(stopped: threading.Event | None = None) -> Iterator[Callable[[], bool]]:
    """Let the first SIGTERM or SIGINT set ``stopped``, and the second end the process.

    So also after the block: Python's own handler of SIGINT would wait until the client is closed.
    """
    asked = stopped or threading.Event()

    def stop(*_: object) -> None:
        for number in _STOP_SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        asked.set()

    previous = {each: signal.signal(each, stop) for each in _STOP_SIGNALS}
    try:
        yield asked.is_set
    finally:
        if not asked.is_set():
            for number, handler in previous.items():
                signal.signal(number, handler)
