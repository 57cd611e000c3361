"""``sessionfold dead-letters``: records that were set aside, and why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from typing import Any

import click

from ..errors import NotFoundError
from ..store import DeadLetter, letter_fields, open_store
from . import _options
from ._output import iso, print_json, print_json_array, printable


class _Place(click.ParamType[tuple[int, int]]):
    """A record's place in the log, as PARTITION:OFFSET."""

    name = "partition:offset"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:  # noqa: ANN401
        """Return partition and offset, or fail with what is accepted."""
        partition, _, offset = str(value).partition(":")
        if not (partition.isdecimal() and offset.isdecimal()):
            self.fail(f"{value!r} is no place in the log; write it as 3:1042", param, ctx)
        return int(partition), int(offset)


@click.group("dead-letters")
def command() -> None:
    """Look at records that are no valid events and were set aside."""


@command.command("list")
@_options.limit
@_options.as_json
@_options.store
def list_command(limit: int | None, as_json: bool, store: str) -> None:
    """List dead letters by partition and offset."""
    with closing(open_store(store, read_only=True)) as opened:
        letters = islice(opened.dead_letters(), limit)
        if as_json:
            print_json_array(map(letter_fields, letters))
            return
        count = 0
        for letter in letters:
            count += 1
            click.echo(
                f"{letter.partition}:{letter.offset}  {letter.reason}: {printable(letter.detail)}"
            )
    if not count:
        click.echo("no record was set aside")


@command.command("show")
@click.argument("place", type=_Place(), metavar="PARTITION:OFFSET")
@_options.as_json
@_options.store
def show(place: tuple[int, int], as_json: bool, store: str) -> None:
    """Show one dead letter, its bytes in hex."""
    with closing(open_store(store, read_only=True)) as opened:
        letter = _find(opened.dead_letters(), place)
    if letter is None:
        raise NotFoundError("dead letter", f"{place[0]}:{place[1]}", store)
    if as_json:
        print_json(letter_fields(letter))
        return
    fields = letter_fields(letter) | {"timestamp": iso(letter.timestamp * 1000)}
    for name, value in fields.items():
        click.echo(f"{name:<10} {'null' if value is None else printable(str(value))}")


def _find(letters: Iterator[DeadLetter], place: tuple[int, int]) -> DeadLetter | None:
    return next((each for each in letters if (each.partition, each.offset) == place), None)
