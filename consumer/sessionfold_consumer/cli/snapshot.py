"""``sessionfold snapshot``: what a store has, in one file."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from ..errors import OutputFailedError
from ..snapshot import Header, Snapshot, Summary, save
from ..store import open_shadow, open_store
from . import _options
from ._output import print_json, printable
from ._spool_table import counted

_file = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group("snapshot")
def command() -> None:
    """Save what a store has to a file; a rebuild can begin with it when the log's start is gone."""


@command.command("save")
@_file
@_options.as_json
@_options.store
def save_command(file: Path, as_json: bool, store: str) -> None:
    """Save what the store has at one moment; services may go on meanwhile."""
    with closing(open_store(store, read_only=True)) as opened:
        try:
            found = save(opened, file)
        except OSError as error:
            raise OutputFailedError(error.strerror or str(error)) from error
    _show(*found, as_json=as_json)


@command.command("check")
@_file
@_options.as_json
def check_command(file: Path, as_json: bool) -> None:
    """Read a snapshot to its end; say what it is of, or that it is damaged."""
    snapshot = Snapshot(file)
    _show(snapshot.header, snapshot.check(), as_json=as_json)


@command.command("load")
@_file
@_options.store
def load_command(file: Path, store: str) -> None:
    """Make a new store what a snapshot has; a service goes on from there.

    For a store that has a state there is: sessionfold rebuild --snapshot FILE
    """
    from ..rebuild import load_new

    snapshot = Snapshot(file)
    summary = snapshot.check()
    with closing(open_store(store)) as opened:
        load_new(snapshot, opened, partial(open_shadow, store))
    click.echo(
        f"loaded {counted(summary.states, 'session')}; the service goes on from there with: "
        "sessionfold run"
    )


def _show(header: Header, summary: Summary, *, as_json: bool) -> None:
    if as_json:
        print_json(_report(header, summary))
        return
    click.echo(
        f"saved at      {header.saved_at}\n"
        f"topic         {printable(header.topic)} (ID {printable(header.topic_id)}, "
        f"{counted(header.partition_count, 'partition')})\n"
        f"contract      {header.contract_version} ({header.contract_digest[:12]})\n"
        f"has           {counted(summary.states, 'session')}, "
        f"{counted(summary.dead_letters, 'dead letter')}"
    )
    for partition, first in header.first_offsets.items():
        digest = summary.digests.get(partition, "none")
        click.echo(
            f"partition {partition:<3} complete from {first} to before "
            f"{header.next_offsets[partition]}, digest {digest}"
        )


def _report(header: Header, summary: Summary) -> dict[str, Any]:
    return asdict(header) | asdict(summary)
