"""Dead letters as rows of a database's table, the same in each."""

from __future__ import annotations

import json
from typing import Any

from ..records import Headers
from .protocol import DeadLetter


def letter_row(letter: DeadLetter) -> tuple[Any, ...]:
    """Return what is written of a dead letter; its headers are JSON with values in hex."""
    return (
        letter.partition,
        letter.offset,
        letter.timestamp,
        letter.key,
        letter.value,
        _headers_text(letter.headers) if letter.headers else "[]",
        letter.reason,
        letter.detail,
        letter.status,
        letter.session_id,
    )


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
