"""``sessionfold store``: the store as a whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
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
