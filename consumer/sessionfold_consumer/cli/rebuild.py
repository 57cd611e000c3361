"""``sessionfold rebuild``: fold the log again, beside the live state."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..config import Settings, load
from ..errors import NothingKeptError
from ..snapshot import Snapshot
from ..store import open_shadow, open_store
from . import _options
from ._comparison import lines, report
from ._excerpts import fold_into
from ._logging import show_info
from ._output import print_json
from ._progress import ProgressReporter, progress_reporter
from ._what_if import show_what_if
from .run import stop_signals

if TYPE_CHECKING:
    from ..rebuild import Comparison, Rebuilder
    from ._options import Until

logger = logging.getLogger("sessionfold_consumer")

_SWITCHED = """\
the rebuilt state is live; what was live before is kept:
  go back to it with:    sessionfold rebuild --undo
  throw it away with:    sessionfold rebuild --drop-old"""


@click.command("rebuild")
@click.option(
    "--into-shadow",
    is_flag=True,
    help="Fold and compare, and put nothing in place; a later rebuild goes on from there.",
)
@click.option("--dry-run", is_flag=True, help="Fold and compare, then throw away what was folded.")
@click.option("--yes", is_flag=True, help="Put it in place although something differs.")
@click.option("--undo", is_flag=True, help="Go back to what was live before the last rebuild.")
@click.option(
    "--drop-old",
    is_flag=True,
    help="Throw away what was live before the last rebuild, or what an unfinished one has folded.",
)
@click.option(
    "--snapshot",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Begin with a snapshot instead of at the log's start, which may be gone.",
)
@click.option(
    "--until",
    type=_options.UNTIL,
    multiple=True,
    metavar="TIME|PARTITION:OFFSET",
    help="With --into: only the records before a time, or before an offset of a partition; may be "
    "repeated for other partitions.",
)
@click.option("--into", metavar="URL", help="Fold into this new store and leave the live one be.")
@click.option(
    "--schema",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="With --dry-run: fold by this contract (an .avsc file), and show what would differ.",
)
@click.option(
    "--share",
    type=click.IntRange(1, 100),
    default=50,
    show_default=True,
    metavar="PERCENT",
    help="Write to the database in at most this part of the time; the rest is the services'.",
)
@_options.processes
@_options.differing_limit
@_options.batch_records
@_options.as_json
@_options.broker_options
@_options.store
def command(  # noqa: PLR0913, PLR0917 - one for each option
    into_shadow: bool,
    dry_run: bool,
    yes: bool,
    undo: bool,
    drop_old: bool,
    snapshot: Path | None,
    until: tuple[Until, ...],
    into: str | None,
    schema: Path | None,
    share: int,
    limit: int,
    as_json: bool,
    kafka_options: tuple[str, ...],
    **options: object,
) -> None:
    """Fold the topic from its start, beside the live state, and put the result in its place.

    Services go on meanwhile, and people read the live state until the very moment of the switch;
    afterwards the services go on in the new one by themselves. Before that both are compared, at
    the same positions, session by session. When something differs it is shown, and nothing is
    switched unless you say so.

    However it ends, by kill -9 too, the live state is right, and the same command goes on from
    where it was. What was live before is kept until --drop-old.
    """
    chosen = {"--into-shadow": into_shadow, "--dry-run": dry_run, "--undo": undo,
              "--drop-old": drop_old, "--into": into}  # fmt: skip
    _refuse_several([name for name, is_given in chosen.items() if is_given])
    _refuse_alone({"--until": until}, {"--into": into})
    _refuse_alone({"--schema": schema}, {"--dry-run": dry_run})
    settings = load(options, kafka_options)
    show_info()
    if drop_old:
        _drop(settings)
        return
    if into is not None:
        fold_into(settings, into, until)
        return
    if schema is not None:
        show_what_if(settings, schema, limit, as_json=as_json)
        return
    if undo:
        _undo(settings, share)
        return
    with _ready(settings, share) as (ready, progress):
        found = _rebuilt(ready, progress, snapshot, limit)
        if found is not None:
            with _shown(found, as_json=as_json):
                if dry_run:
                    ready.drop()
                elif not into_shadow:
                    _switch(ready, found, accept=yes)


@contextmanager
def _ready(settings: Settings, share: int) -> Iterator[tuple[Rebuilder, ProgressReporter]]:
    from ..bootstrap import rebuilder

    with (
        progress_reporter() as progress,
        stop_signals() as stopping,
        rebuilder(settings, progress, stopping, share / 100) as ready,
    ):
        yield ready, progress


def _undo(settings: Settings, share: int) -> None:
    with _ready(settings, share) as (ready, progress):
        ready.undo()
        progress.clear()
    click.echo("what was live before is live again, folded up to now; the other is kept")


def _switch(ready: Rebuilder, found: Comparison, *, accept: bool) -> None:
    """Switch, when nothing differs or who is asked says so."""
    # A comparison without differences accepts none that the switch finds.
    ready.switch(found, accept=accept or (not found.is_same and _is_accepted()))
    click.echo(_SWITCHED, err=True)


def _refuse_several(chosen: list[str]) -> None:
    if len(chosen) > 1:
        raise click.UsageError(f"{' and '.join(chosen)} exclude each other; give one of them")


def _drop(settings: Settings) -> None:
    with closing(open_store(settings.store, read_only=True)) as live:
        found = live.info().shadow
    if found == "empty":
        raise NothingKeptError("throw away")
    with closing(open_shadow(settings.store)) as shadow:
        shadow.empty()
    what = "what was live before the last rebuild" if found == "kept" else "an unfinished rebuild"
    click.echo(f"threw away {what}")


def _refuse_alone(given: dict[str, object], needed: dict[str, object]) -> None:
    """Refuse an option that means something only with another one."""
    ((name, value),), ((other, there),) = given.items(), needed.items()
    if value and not there:
        raise click.UsageError(f"{name} is for {other} only; give that, too")


def _rebuilt(
    ready: Rebuilder, progress: ProgressReporter, snapshot: Path | None, limit: int
) -> Comparison | None:
    """Fold and compare; None when it was stopped."""
    if ready.prepare(None if snapshot is None else Snapshot(snapshot)):
        logger.info("a rebuild was begun before; going on with it")
    is_done = ready.fill()
    progress.clear()
    if is_done:
        return ready.compare(limit)
    click.echo("stopped; what was folded is kept, go on with: sessionfold rebuild", err=True)
    return None


@contextmanager
def _shown(found: Comparison, *, as_json: bool) -> Iterator[None]:
    """Show to people what differs before the block, and again when more was found within it.

    To programs it is shown once, afterwards.
    """
    before = None if as_json else _print(found)
    try:
        yield
    finally:
        if as_json:
            print_json(report(found))
        elif str(found) != before:
            _print(found)


def _print(found: Comparison) -> str:
    for line in lines(found):
        click.echo(line)
    return str(found)


def _is_accepted() -> bool:
    """Ask, where somebody can answer."""
    return sys.stdin.isatty() and click.confirm("Put it in place all the same?", err=True)
