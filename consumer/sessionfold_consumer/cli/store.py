"""``sessionfold store``: the store as a whole."""

from __future__ import annotations

from contextlib import closing

import click

from ..store import dump, migrate_store, open_store, store_versions
from . import _options
from ._output import output_file, print_json, printable
from ._store_report import lines, report
from ._stores import existing_store


@click.group("store")
def command() -> None:
    """Look after the store."""


@command.command("dump")
@_options.output
@_options.store
def dump_command(output: str, store: str) -> None:
    """Write the canonical dump: JSON lines that are equal, byte for byte, for equal stores."""
    with (
        closing(open_store(store, read_only=True)) as opened,
        output_file(output) as file,
    ):
        for line in dump(opened):
            file.write(f"{line}\n")


@command.command("migrate")
@_options.store
def migrate_command(store: str) -> None:
    """Bring the store up to this program's version; make one where there is none.

    For SQLite this is also done by run.
    """
    before, now = migrate_store(store)
    if before == now:
        click.echo(f"the store is of version {now}; nothing was to be done")
    elif before == 0:
        click.echo(f"a new store, of version {now}")
    else:
        click.echo(f"the store is of version {now}; it was of version {before}")


@command.command("check")
@_options.as_json
@_options.store
def check_command(as_json: bool, store: str) -> None:
    """Show what the store says of itself; fail when this program cannot work with it."""
    with closing(open_store(store, read_only=True)) as opened:
        found = report(opened, store_versions(store))
    if as_json:
        print_json(found)
        return
    for line in lines(found):
        click.echo(printable(line))


@command.command("resume")
@_options.store
def resume_command(store: str) -> None:
    """Let a service start again that stopped itself, since too many records were set aside."""
    with existing_store(store) as opened:
        stopped = opened.info().stopped
        opened.resume()
    if stopped is None:
        click.echo("the service had not stopped itself; nothing was to be done")
    else:
        click.echo(f"the service may start again; it had stopped itself: {printable(stopped)}")
