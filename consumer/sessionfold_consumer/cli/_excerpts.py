"""The state as it was: a part of the log, folded into a store of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import TYPE_CHECKING

import click

from ..config import Settings
from ..store import migrate_store, open_store
from ._options import Until
from ._progress import progress_reporter
from .run import stop_signals

if TYPE_CHECKING:
    from .. import rebuild


def fold_into(
    settings: Settings, url: str, until: Sequence[Until], *, is_silent: bool = False
) -> bool:
    """Fold the topic of a store into a new one, up to a time or offsets; return if it got there."""
    from .. import bootstrap

    excerpt = bootstrap.excerpt(settings, _until(until))
    migrate_store(url)
    with (
        closing(open_store(url)) as store,
        progress_reporter() as progress,
        stop_signals() as stopping,
    ):
        is_done = bootstrap.fold(settings, excerpt, store, progress, stopping)
        progress.clear()
    if is_done and not is_silent:
        places = ", ".join(f"{partition}:{end}" for partition, end in excerpt.ends.items())
        click.echo(f"folded up to {places}")
    if not is_done:
        click.echo("stopped; the same command goes on from there", err=True)
    return is_done


def _until(given: Sequence[Until]) -> rebuild.Until:
    from ..rebuild import Until as Bound

    times = [each for each in given if isinstance(each, int)]
    if len(times) > 1:
        raise click.UsageError("--until has several times; give one")
    return Bound(
        timestamp=-(-times[0] // 1_000) if times else None,
        offsets=dict(each for each in given if not isinstance(each, int)),
    )
