"""``sessionfold spool``: events that workers could not deliver, on this host's disk."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

from sessionfold import spool
from sessionfold.errors import ConfigurationError as SdkConfigurationError

from ..broker import Broker
from ..config import load
from ..errors import ConfigurationError, NotDeliveredError, NotFoundError, SpoolUnusableError
from . import _options
from ._output import print_json, printable
from ._spool_table import counted, json_status, table

_TERMINAL_SECONDS = 0.25
_CLEAR_LINE = "\r\x1b[K"

_directory = click.option(
    "--directory",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY",
    help="Where the spool is. By default where workers of this user have it: "
    "SESSIONFOLD_SPOOL_DIRECTORY, else sessionfold/spool in the user's folder for state.",
)


@click.group("spool")
def command() -> None:
    """Look at events that are kept on disk, send them, or give them up.

    Workers keep there what the broker could not take, and send it themselves when it can: the same
    process, or the next one with the same topic and brokers.
    """


@command.command("status")
@_directory
@_options.as_json
def status(directory: Path | None, as_json: bool) -> None:
    """Show what waits, a row for each file. Nothing is changed."""
    with _translated():
        found = spool.status(directory)
    if as_json:
        print_json(json_status(found))
        return
    if not found.names:
        _say_empty(found)
        return
    for line in table(found, time.time_ns() // 1000):
        click.echo(line)


@command.command("send")
@_directory
@click.option(
    "--timeout",
    "timeout_seconds",
    type=click.FloatRange(0.1, 86_400),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Give up when the broker has acknowledged nothing for so long.",
)
@_options.broker_options
@click.pass_context
def send(
    ctx: click.Context,
    /,
    directory: Path | None,
    timeout_seconds: float,
    kafka_options: tuple[str, ...],
    **options: str,
) -> None:
    """Send what processes that are gone have left for this topic and these brokers.

    Waits until it is delivered. Files of living processes are left to them, and files for another
    topic or other brokers stay; both are said. It can be ended at any time and called again.
    """
    settings = load(options, kafka_options)
    if ctx.find_root().obj:
        _show_log_of_sdk()
    with _translated():
        found = spool.status(directory)
        if not found.names:
            _say_empty(found)
            return
        if found.waiting_for(settings.topic, settings.bootstrap_servers):
            Broker(settings).partition_count(settings.topic)  # says in a sentence what is wrong
        with _progress() as progress:
            sent = spool.send(
                found,
                timeout_seconds=timeout_seconds,
                on_progress=progress,
                kafka=settings.kafka,
                **options,
            )
    _print_sent(sent)


@command.command("drop")
@click.argument("names", nargs=-1, metavar="[FILE]...")
@_directory
@click.option("--damaged", is_flag=True, help="Only the damaged bytes, which nothing can send.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
def drop(names: tuple[str, ...], directory: Path | None, damaged: bool, yes: bool) -> None:
    """Delete files: all, or those that are named as `status` shows them. What is in them is lost.

    Files of living processes are never deleted.
    """
    with _translated():
        found = spool.status(directory)
        if not found.names and not names:
            _say_empty(found)
            return
        chosen = _chosen(found, names, damaged_only=damaged)
        if not chosen:
            click.echo("nothing was deleted: there is none that was asked for and is free")
            return
        if not yes:
            _ask(found, chosen, damaged_only=damaged)
        dropped = spool.drop(directory, names=chosen, damaged_only=damaged)
    click.echo(
        f"deleted {counted(len(dropped.names), 'file')}: {counted(dropped.updates, 'update')} "
        f"lost, {counted(dropped.damaged_bytes, 'damaged byte')}"
    )
    _print_left(dropped.left)
    failures = [each for each in dropped.left if each.is_failure]
    if failures:
        raise SpoolUnusableError(
            f"{counted(len(failures), 'file')} could not be deleted; change rights or owner of "
            f"what is in {printable(str(found.directory))}"
        )


def _say_empty(found: spool.Status) -> None:
    click.echo(f"nothing is spooled in {printable(str(found.directory))}")


def _print_sent(sent: spool.Sent) -> None:
    """Print what was done and what was not; end with an error if something should have been."""
    click.echo(f"sent {counted(sent.delivered, 'update')}, {counted(sent.files, 'file')} done")
    if sent.damaged_bytes:
        click.echo(f"set aside {counted(sent.damaged_bytes, 'damaged byte')}, beside the files")
    _print_left(sent.left)
    failures = [each for each in sent.left if each.is_failure]
    if not sent.is_complete:
        raise NotDeliveredError(
            files=len(failures),
            updates=sum(each.updates for each in failures),
            refused=sent.refused,
            refusal=printable(sent.refusal),
        )


def _print_left(left: Sequence[spool.Left]) -> None:
    """Print a line for each reason that files were left for."""
    by_reason: dict[str, list[spool.Left]] = {}
    for each in left:
        by_reason.setdefault(each.reason, []).append(each)
    for reason, alike in by_reason.items():
        updates = counted(sum(each.updates for each in alike), "update")
        which = alike[0].name if len(alike) == 1 else counted(len(alike), "file")
        click.echo(printable(f"left {which} ({updates}): {reason}"))


def _chosen(found: spool.Status, names: Sequence[str], *, damaged_only: bool) -> list[str]:
    """Return the names of what is to be deleted: free, and damaged if that is asked for."""
    owned = {file.name for file in found.files if file.owner_alive}
    for name in names:
        if name not in found.names:
            raise NotFoundError("spool file", printable(name), printable(str(found.directory)))
        if name in owned:
            raise SpoolUnusableError(
                f"{printable(name)} is owned by a living process, which sends it itself; nothing "
                "was deleted"
            )
    free = [name for name in (names or found.names) if name not in owned]
    return [name for name in dict.fromkeys(free) if not damaged_only or name in found.damaged]


def _ask(found: spool.Status, chosen: Sequence[str], *, damaged_only: bool) -> None:
    """Ask on a terminal whether these are to be deleted; without one refuse."""
    files = [] if damaged_only else [file for file in found.files if file.name in chosen]
    updates = sum(file.calls for file in files)
    damaged = sum(found.damaged.get(name, 0) for name in chosen)
    what = (
        f"{counted(updates, 'update')} and {counted(damaged, 'damaged byte')} "
        f"in {counted(len(chosen), 'file')}"
    )
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what} would be lost, and nobody can be asked; give --yes")
    click.confirm(f"{what} will be lost. Delete them?", abort=True)


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the SDK's errors into ours, which have exit codes."""
    try:
        yield
    except SdkConfigurationError as error:
        raise ConfigurationError(printable(str(error))) from error
    except spool.SpoolUnavailableError as error:
        raise SpoolUnusableError(f"the spool cannot be used: {printable(str(error))}") from error


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    """Make what shows progress on a terminal, and leave its line clean whatever happens."""
    on_terminal = sys.stderr.isatty()
    shown_at = time.monotonic()

    def show(delivered: int, total: int) -> None:
        nonlocal shown_at
        if on_terminal and time.monotonic() - shown_at >= _TERMINAL_SECONDS:
            shown_at = time.monotonic()
            line = f"{_CLEAR_LINE}{delivered:,} of {counted(total, 'update')} sent"
            click.echo(line, nl=False, err=True)

    try:
        yield show
    finally:
        if on_terminal:
            click.echo(_CLEAR_LINE, nl=False, err=True)


def _show_log_of_sdk() -> None:
    """Send the SDK's log lines, the Kafka client's among them, where the service's go."""
    ours, sdk = logging.getLogger("sessionfold_consumer"), logging.getLogger("sessionfold")
    sdk.handlers[:], sdk.propagate = ours.handlers, False
    sdk.setLevel(logging.DEBUG)
