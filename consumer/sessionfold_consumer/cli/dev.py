"""``sessionfold dev``: broker, consumer and store in one process, to try it out."""

from __future__ import annotations

import shlex
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
from ..topic import DEFAULT_PARTITIONS
from . import _options
from .run import stop_signals


def _checked_commands(_: object, __: object, commands: tuple[str, ...]) -> tuple[str, ...]:
    for command in commands:
        try:
            words = shlex.split(command)
        except ValueError as error:
            raise click.BadParameter(f"{command!r} is no command line: {error}") from None
        if not words:
            raise click.BadParameter("an empty command cannot be started; name a program")
    return commands


@click.command("dev")
@click.option(
    "--run",
    "commands",
    multiple=True,
    metavar="COMMAND",
    callback=_checked_commands,
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
        # A store of its own: another broker's offsets mean nothing here, and a store that a service
        # works on would be taken from it.
        options["store"] = options["store"] or f"sqlite:///{folder / 'sessions.db'}"
        if options["bootstrap_servers"] is None:
            settings = stack.enter_context(_embedded(kafka_options, options))
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
def _embedded(kafka_options: tuple[str, ...], options: dict[str, object]) -> Iterator[Settings]:
    from ..embedded import EmbeddedBroker

    with EmbeddedBroker(str(options["topic"])) as broker:
        yield load(options | {"bootstrap_servers": broker.bootstrap_servers}, kafka_options)


def _make_topic_if_missing(settings: Settings) -> None:
    broker = Broker(settings)
    try:
        broker.describe(settings.topic)
    except TopicMissingError:
        broker.create(settings.topic, DEFAULT_PARTITIONS, None)
        click.echo(f"created the topic {settings.topic} with {DEFAULT_PARTITIONS} partitions")
