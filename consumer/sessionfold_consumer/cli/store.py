"""``sessionfold store``: the store as a whole."""

from __future__ import annotations

from contextlib import closing
from typing import IO

import click

from ..store import dump, open_store
from . import _options


@click.group("store")
def command() -> None:
    """Look after the store."""


@command.command("dump")
@click.option(
    "--output",
    type=click.File("w", encoding="utf-8", lazy=True, atomic=True),
    default="-",
    metavar="FILE",
    help="Where to write; stdout by default.",
)
@_options.store
def dump_command(output: IO[str], store: str) -> None:
    """Write the canonical dump: JSON lines that are equal, byte for byte, for equal stores."""
    with closing(open_store(store, read_only=True)) as opened:
        for line in dump(opened):
            output.write(f"{line}\n")
