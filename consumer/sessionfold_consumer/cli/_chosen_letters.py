"""Which dead letters a command is about: those at some places, of one reason, or all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import click

from sessionfold_schemas import Reason

from ..errors import NotFoundError
from ..store import FATAL_REASON, DeadLetter, LetterStatus, store_name

F = TypeVar("F", bound=Callable[..., Any])

Place = tuple[int, int]

REASONS = (*get_args(Reason), "decoders_disagree", FATAL_REASON)


class PlaceType(click.ParamType[Place]):
    """A record's place in the log, as PARTITION:OFFSET."""

    name = "partition:offset"

    def convert(self, value: Any, param: Any, ctx: Any) -> Place:  # noqa: ANN401 - click's signature
        """Return partition and offset, or fail with what is accepted."""
        partition, _, offset = str(value).partition(":")
        if not (partition.isdecimal() and offset.isdecimal()):
            self.fail(f"{value!r} is no place in the log; write it as 3:1042", param, ctx)
        return int(partition), int(offset)


status = click.option(
    "--status",
    type=click.Choice([*get_args(LetterStatus), "all"]),
    default="open",
    show_default=True,
    help="Only those of which this has become.",
)
reason = click.option("--reason", type=click.Choice(REASONS), help="Only those of one reason.")


def choosing(command: F) -> F:
    """Add what names the open dead letters that a command changes."""
    every = click.option("--all", "every", is_flag=True, help="All that are open.")
    places = click.argument("places", nargs=-1, type=PlaceType(), metavar="[PLACE]...")
    return places(every(reason(command)))


def place_of(letter: DeadLetter) -> Place:
    """Return where a dead letter lies in the log."""
    return letter.partition, letter.offset


def filtered(
    letters: Iterable[DeadLetter], status: str, reason: str | None
) -> Iterator[DeadLetter]:
    """Yield the dead letters of a status (``all`` is any) and a reason (None is any)."""
    for letter in letters:
        if status in (letter.status, "all") and reason in (letter.reason, None):
            yield letter


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Open dead letters, as a command line names them."""

    places: frozenset[Place]
    reason: str | None

    def among(self, letters: Iterable[DeadLetter]) -> Iterator[DeadLetter]:
        """Yield those that were chosen."""
        for letter in filtered(letters, "open", self.reason):
            if not self.places or place_of(letter) in self.places:
                yield letter

    def check(self, letters: Iterable[DeadLetter], store: str) -> None:
        """Refuse a place at which no dead letter is open.

        Raises:
            NotFoundError: when there is such a place.
        """
        statuses = {
            place_of(each): each.status for each in letters if place_of(each) in self.places
        }
        for place in sorted(self.places):
            found = statuses.get(place)
            if found != "open":
                kind = "dead letter" if found is None else "open dead letter"
                raise NotFoundError(kind, f"{place[0]}:{place[1]}", store_name(store))


def choice(places: Iterable[Place], *, every: bool, reason: str | None) -> Choice:
    """Return what was chosen; exactly one way of choosing must be used.

    Raises:
        click.UsageError: when none is, or several are.
    """
    chosen = frozenset(places)
    if [bool(chosen), every, reason is not None].count(True) != 1:
        raise click.UsageError("name places (as 3:1042), or give --all, or --reason")
    return Choice(places=chosen, reason=reason)
