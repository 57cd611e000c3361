"""``sessionfold store``: the store as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO

import click

from ..store import dump, migrate_store, open_store, store_versions
from . import _options
from ._output import print_json, printable
from ._store_report import lines, report
from ._stores import existing_store


@click.group("store")
def command() -> None:
    """Look after the store."""


@command.command("dump")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    metavar="FILE",
    help="Where to write; stdout by default.",
)
@_options.store
def dump_command(output: str, store: str) -> None:
    """Write the canonical dump: JSON lines that are equal, byte for byte, for equal stores."""
    with (
        closing(open_store(store, read_only=True)) as opened,
        _opened(output) as file,
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


@contextmanager
def _opened(output: str) -> Iterator[IO[str]]:
    """Open stdout, a device as it is, or a file that is replaced when all of it is written.

    click's own atomic files are replaced also when writing fails, and so are devices.
    """
    given = Path(output)
    if output == "-" or (given.exists() and not given.is_file()):
        with click.open_file(output, "w", encoding="utf-8") as file:
            yield file
        return
    path = given.resolve()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("x", encoding="utf-8") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
