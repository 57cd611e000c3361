"""``sessionfold dead-letters``: records that were set aside, why, and what is to become of them."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice

import click

from ..errors import NotFoundError, StillRefusedError
from ..store import (
    FATAL_REASON,
    DeadLetter,
    SessionStore,
    letter_fields,
    open_store,
    store_name,
)
from . import _chosen_letters, _options
from ._chosen_letters import Choice, Place, PlaceType, choice, choosing, filtered, place_of
from ._output import iso, output_file, print_json, print_json_array, printable
from ._spool_table import counted
from ._stores import existing_store


@click.group("dead-letters")
def command() -> None:
    """Look at records that were set aside as no valid events, fold them again, or drop them."""


@command.command("list")
@_chosen_letters.status
@_chosen_letters.reason
@_options.limit
@_options.as_json
@_options.store
def list_command(
    status: str, reason: str | None, limit: int | None, as_json: bool, store: str
) -> None:
    """List dead letters by partition and offset."""
    with closing(open_store(store, read_only=True)) as opened:
        letters = islice(filtered(opened.dead_letters(), status, reason), limit)
        if as_json:
            print_json_array(map(letter_fields, letters))
            return
        count = 0
        for letter in letters:
            count += 1
            click.echo(_line(letter))
    if not count:
        click.echo("there is no such dead letter" if reason else _NONE[status])


_NONE = {
    "open": "no record is set aside",
    "retried": "no dead letter was retried",
    "dropped": "no dead letter was dropped",
    "all": "no record was set aside",
}


@command.command("show")
@click.argument("place", type=PlaceType(), metavar="PARTITION:OFFSET")
@_options.as_json
@_options.store
def show(place: Place, as_json: bool, store: str) -> None:
    """Show one dead letter, its bytes in hex."""
    with closing(open_store(store, read_only=True)) as opened:
        letter = next((each for each in opened.dead_letters() if place_of(each) == place), None)
    if letter is None:
        raise NotFoundError("dead letter", f"{place[0]}:{place[1]}", store_name(store))
    if as_json:
        print_json(letter_fields(letter))
        return
    fields = letter_fields(letter) | {"timestamp": iso(letter.timestamp * 1000)}
    for name, value in fields.items():
        click.echo(f"{name:<10} {'null' if value is None else printable(str(value))}")


@command.command("export")
@_chosen_letters.status
@_chosen_letters.reason
@_options.output
@_options.store
def export(status: str, reason: str | None, output: str, store: str) -> None:
    """Write dead letters as JSON lines, whole, their bytes in hex."""
    with (
        closing(open_store(store, read_only=True)) as opened,
        output_file(output) as file,
    ):
        for letter in filtered(opened.dead_letters(), status, reason):
            file.write(f"{json.dumps(letter_fields(letter))}\n")


@command.command("retry")
@choosing
@_options.store
def retry_command(places: tuple[Place, ...], every: bool, reason: str | None, store: str) -> None:
    """Decode and fold open dead letters again, as after an upgrade; a service may be running.

    PLACE is PARTITION:OFFSET. Each event takes its own place in the log, so an old value never
    wins over a newer one. --all leaves out records that ended processes: name those, or give
    --reason fatal.
    """
    chosen = choice(places, every=every, reason=reason)
    with _reader_and_writer(store) as (reader, writer):
        chosen.check(reader.dead_letters() if places else (), store)
        retried, refused = _retry(reader, writer, chosen, harmless_only=every)
    click.echo(f"{counted(retried, 'dead letter')} retried")
    for name, count in sorted(refused.items()):
        click.echo(f"{counted(count, 'dead letter')} refused again: {name}")
    if refused:
        raise StillRefusedError(refused.total(), retried)


@command.command("drop")
@choosing
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@_options.store
def drop(places: tuple[Place, ...], every: bool, reason: str | None, yes: bool, store: str) -> None:
    """Give open dead letters up. They stay listed, and no longer mark their sessions.

    PLACE is PARTITION:OFFSET.
    """
    chosen = choice(places, every=every, reason=reason)
    with _reader_and_writer(store) as (reader, writer):
        chosen.check(reader.dead_letters() if places else (), store)
        if not yes:
            _ask(sum(1 for _ in chosen.among(reader.dead_letters())))
        from ..dead_letters import portions

        dropped = 0
        for portion in portions(chosen.among(reader.dead_letters())):
            writer.resolve(portion, "dropped")
            dropped += len(portion)
    click.echo(f"{counted(dropped, 'dead letter')} dropped")


@contextmanager
def _reader_and_writer(url: str) -> Iterator[tuple[SessionStore, SessionStore]]:
    """Open a store twice: what is written must not change what is being read."""
    with closing(open_store(url, read_only=True)) as reader, existing_store(url) as writer:
        yield reader, writer


def _retry(
    reader: SessionStore, writer: SessionStore, chosen: Choice, *, harmless_only: bool
) -> tuple[int, Counter[str]]:
    """Retry what was chosen; return how many are in the state now, and why others are not."""
    from ..dead_letters import portions, retry

    retried = 0
    refused: Counter[str] = Counter()
    letters = chosen.among(reader.dead_letters())
    if harmless_only:
        letters = (letter for letter in letters if letter.reason != FATAL_REASON)
    for portion in portions(letters):
        again = retry(portion)
        if again.accepted:
            writer.resolve(again.accepted, "retried", again.rows)
        retried += len(again.accepted)
        refused.update(letter.reason for letter in again.refused)
    return retried, refused


def _line(letter: DeadLetter) -> str:
    status = "" if letter.status == "open" else f"  {letter.status}"
    return (
        f"{letter.partition}:{letter.offset}{status}  {letter.reason}: {printable(letter.detail)}"
    )


def _ask(count: int) -> None:
    """Ask on a terminal whether so many are to be dropped; without one refuse."""
    what = counted(count, "dead letter")
    if not sys.stdin.isatty():
        raise click.UsageError(f"{what} would be dropped, and nobody can be asked; give --yes")
    click.confirm(f"{what} will be dropped for good. Drop them?", abort=True)
