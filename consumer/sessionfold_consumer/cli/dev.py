"""``sessionfold dev``: broker, consumer and store in one process, to try it out."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click
from click.core import ParameterSource

from ..broker import Broker
from ..config import Settings, load
from ..errors import TopicMissingError
from . import _options
from .run import stop_signals

_REPLICATION_OF_ONE_BROKER = 1


@click.command("dev")
@click.option(
    "--run",
    "commands",
    multiple=True,
    metavar="COMMAND",
    help="Start this worker, pointed at the broker, and end when all such workers have ended; may "
    "be repeated.",
)
@_options.broker_options
@_options.store
@click.pass_context
def command(
    ctx: click.Context,
    /,
    commands: tuple[str, ...],
    kafka_options: tuple[str, ...],
    **options: object,
) -> None:
    """Try it out: an embedded broker, the consumer and a store in one process.

    Prints the one line that points any worker at it, then the sessions while they change. The
    embedded broker is for trying out only: it keeps at most 100,000 records a partition, in memory.
    With --bootstrap-servers (or its environment variable) a real broker is used instead.
    """
    for name in ("bootstrap_servers", "store"):
        if ctx.get_parameter_source(name) is ParameterSource.DEFAULT:
            options[name] = None
    with ExitStack() as stack:
        folder = stack.enter_context(_scratch_folder())
        if options["bootstrap_servers"] is None:
            settings = stack.enter_context(_embedded(kafka_options, options, folder))
            embedded = True
        else:
            settings = load(options, kafka_options)
            _make_topic_if_missing(settings)
            embedded = False
        from ._dev_session import DevSession

        stopping = stack.enter_context(stop_signals())
        session = DevSession(settings, folder, embedded=embedded)
        raise SystemExit(session.run(commands, stopping))


@contextmanager
def _scratch_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="sessionfold-dev-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _embedded(
    kafka_options: tuple[str, ...], options: dict[str, object], folder: Path
) -> Iterator[Settings]:
    from ..embedded import EmbeddedBroker

    with EmbeddedBroker(str(options["topic"])) as broker:
        # Offsets of an earlier embedded broker mean nothing in this one: a store of its own.
        store = options["store"] or f"sqlite:///{folder / 'sessions.db'}"
        given = options | {"bootstrap_servers": broker.bootstrap_servers, "store": store}
        yield load(given, kafka_options)


def _make_topic_if_missing(settings: Settings) -> None:
    broker = Broker(settings)
    try:
        broker.describe(settings.topic)
    except TopicMissingError:
        broker.create(settings.topic, 4, _REPLICATION_OF_ONE_BROKER)
        click.echo(f"created the topic {settings.topic} with 4 partitions and one copy, to try out")
