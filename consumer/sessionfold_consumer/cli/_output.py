"""How state looks: as JSON for programs, as text for people."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import IO, Any

import click

from sessionfold_schemas import current

from ..state import State, public_columns, state_columns
from ..store import SetAside

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_JSON_LAST = ("partition", "first_offset", "last_offset", "event_count")


def iso(microseconds: int, timespec: str = "microseconds") -> str:
    """Return a time in UTC as ISO 8601, or its number if no calendar has it."""
    try:
        moment = _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        return f"{microseconds} us"
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def dead_letters_of(state: State, counts: SetAside) -> int:
    """Return how many open dead letters a session has, in the partition of its state."""
    return counts[state[current().key.name], state["partition"]]


def json_state(state: State, counts: SetAside) -> dict[str, Any]:
    """Return a state as JSON values: the contract's fields, then the fold's own; times in ISO."""
    return json_fields(state) | {"dead_letters": dead_letters_of(state, counts)}


def json_fields(state: State) -> dict[str, Any]:
    """Return what the events made of a state, as JSON values."""
    return {name: json_value(name, state[name]) for name in _json_names()}


def json_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an event gives, as JSON values; a field that it does not give has no key."""
    return {name: json_value(name, given) for name, given in event.items() if given is not None}


def json_value(name: str, value: Any) -> Any:  # noqa: ANN401 - a state value
    """Return a value of a field as JSON has it: times in ISO."""
    return iso(value) if value is not None and name in _timestamps() else value


def print_json(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print one JSON value, for people who read it, too."""
    click.echo(
        "\n".join(map(_escaped, json.dumps(value, ensure_ascii=False, indent=2).split("\n")))
    )


def print_json_array(values: Iterable[Any]) -> None:
    """Print one JSON array, an element a line, without holding all of it."""
    separator = "["
    for value in values:
        click.echo(separator + _escaped(json.dumps(value, ensure_ascii=False)))
        separator = ","
    click.echo("]" if separator == "," else "[]")


def print_json_line(value: Any) -> None:  # noqa: ANN401 - any JSON value
    """Print one JSON value on a line of its own."""
    click.echo(_escaped(json.dumps(value, ensure_ascii=False)))


def _escaped(text: str) -> str:
    """Return JSON with what is not printable escaped as JSON does: it means the same."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)


def printable(text: str) -> str:
    """Return a text without what moves a terminal's cursor, colours or reading direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def human(name: str, value: Any) -> str:  # noqa: ANN401 - a state value
    """Return a state's value as people read it; a dash for what was never given, lists as JSON."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if name in _timestamps():
        return iso(value)
    if isinstance(value, list):
        return _escaped(json.dumps(value, ensure_ascii=False))
    return printable(str(value))


def age(microseconds: int, now_microseconds: int) -> str:
    """Return how long ago a moment was, in a unit that fits: ``45s``, ``12m``, ``3h``, ``9d``."""
    seconds = max(0, (now_microseconds - microseconds) // 1_000_000)
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


@contextmanager
def output_file(output: str) -> Iterator[IO[str]]:
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


@cache
def _json_names() -> tuple[str, ...]:
    first = [current().key.name, *(field.name for field in current().state_fields)]
    rest = [name for name in public_columns() if name not in first and name not in _JSON_LAST]
    return (*first, *rest, *_JSON_LAST)


@cache
def _timestamps() -> frozenset[str]:
    types = {each.name: each.type for each in current().fields}
    types |= {each.name: each.type for each in state_columns()}
    return frozenset(name for name, kind in types.items() if kind == "timestamp")
