"""``sessionfold list``: sessions, those that were last heard of first."""

from __future__ import annotations

import time
from contextlib import closing

import click

from ..store import Selection, Status, open_store
from . import _options
from ._output import json_state, print_json_array


@click.command("list")
@click.option("--active", "status", flag_value="active", help="Only sessions that are open.")
@click.option("--finished", "status", flag_value="finished", help="Only sessions that have ended.")
@click.option(
    "--stale",
    "stale_seconds",
    type=_options.Age(),
    metavar="AGE",
    help="Only open sessions without an event for this long (90s, 15m, 2h, 7d).",
)
@_options.limit
@_options.as_json
@_options.store
def command(
    status: Status | None,
    stale_seconds: int | None,
    limit: int | None,
    as_json: bool,
    store: str,
) -> None:
    """List sessions, those that were last heard of first."""
    if stale_seconds is not None and status is not None:
        raise click.UsageError(
            "--stale is about open sessions; give it without --active or --finished"
        )
    now = time.time_ns() // 1000
    selection = Selection(
        status="active" if stale_seconds is not None else status or "all",
        last_occurred_before=None if stale_seconds is None else now - stale_seconds * 1_000_000,
        limit=limit,
    )
    with closing(open_store(store, read_only=True)) as opened:
        counts = opened.set_aside()
        states = opened.select(selection)
        if as_json:
            print_json_array(json_state(state, counts) for state in states)
            return
        from ._table import console, sessions_table

        screen = console()
        screen.print(sessions_table(states, now, screen.width, counts))
