"""How records and events look on a line, for people."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from sessionfold_schemas import Field, current

from ..answers import PRODUCER, SEQUENCE, Origin, Record
from ._output import iso, printable

_MILLISECOND = 1000


def time_of(record: Record | Origin) -> str | None:
    """Return Kafka's time of a record as ISO 8601, to its millisecond; None when not known."""
    return None if record.timestamp is None else milliseconds_iso(record.timestamp)


def milliseconds_iso(milliseconds: int) -> str:
    """Return a record's time in UTC as ISO 8601."""
    return iso(milliseconds * _MILLISECOND, "milliseconds")


def place_of(record: Record | Origin) -> str:
    """Return where a record lies, as PARTITION:OFFSET."""
    return f"{record.partition}:{record.offset}"


def head(record: Record, *words: str) -> str:
    """Return a record's place and time, and what is said of it."""
    return "  ".join((place_of(record), str(time_of(record)), *words))


def publisher(event: Mapping[str, Any]) -> str:
    """Return who published an event, as which of its own."""
    return f"{printable(event[PRODUCER])} #{event[SEQUENCE]}"


def given_fields(event: Mapping[str, Any]) -> Iterator[Field]:
    """Yield the fields that change a state, as far as an event gives them; 0 adds nothing."""
    for field in current().fields:
        given = event.get(field.name)
        if field in current().state_fields:
            is_shown = given is not None
        else:
            is_shown = field.fold == "sum" and bool(given)
        if is_shown:
            yield field


def terminal_width() -> int | None:
    """Return the terminal's columns; None where stdout is none, and nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def shortened(text: str, width: int | None) -> str:
    """Return a printable text that has room in so many columns."""
    return text if width is None or len(text) <= width else f"{text[: width - 1]}…"
