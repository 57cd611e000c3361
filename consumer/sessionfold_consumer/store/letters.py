"""Dead letters as rows of a database's table, the same in each."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..columnar import columns_of
from ..records import Headers, session_of
from .protocol import DeadLetter

_KEY, _HEADERS = map(DeadLetter._fields.index, ("key", "headers"))


def letter_rows(letters: Iterable[DeadLetter]) -> Iterator[tuple[Any, ...]]:
    """Yield what is written of each dead letter: its fields, and the session that it belongs to.

    Its headers are JSON with values in hex.
    """
    return zip(*letter_columns(letters), strict=True)


def letter_columns(letters: Iterable[DeadLetter]) -> list[Sequence[Any]]:
    """Return the same by columns; none for no dead letters."""
    columns = [*columns_of(letters)]
    if columns:
        headers, keys = columns[_HEADERS], columns[_KEY]
        columns[_HEADERS] = [_headers_text(each) if each else "[]" for each in headers]
        columns.append([*map(session_of, keys)])
    return columns


def _headers_text(headers: Headers) -> str:
    return json.dumps([[name, None if value is None else value.hex()] for name, value in headers])


def letter_of(row: tuple[Any, ...]) -> DeadLetter:
    """Return the dead letter that was written; a row read has no session ID, the key tells it."""
    partition, offset, timestamp, key, value, headers, reason, detail, status = row
    return DeadLetter(
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        key=key,
        value=value,
        headers=tuple(
            (name, None if text is None else bytes.fromhex(text))
            for name, text in json.loads(headers)
        ),
        reason=reason,
        detail=detail,
        status=status,
    )
