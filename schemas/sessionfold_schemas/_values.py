"""The value rules: what a value must be beyond its Avro type."""

from __future__ import annotations

import re

MAX_SESSION_ID_BYTES = 512
"""A session ID's greatest length in UTF-8 bytes; the least is 1."""

MAX_ITEMS = 64
"""How many texts a list may hold; so no record makes much work of few bytes."""

MIN_TIMESTAMP = -62_135_596_800_000_000
"""0001-01-01T00:00:00Z in microseconds since the epoch: the first a calendar library can show."""

MAX_TIMESTAMP = 253_402_300_799_999_999
"""9999-12-31T23:59:59.999999Z in microseconds since the epoch: the last it can show."""

MIN_INT, MAX_INT = -(1 << 31), (1 << 31) - 1
"""The bounds of Avro's int, which a decoder of varints does not check by itself."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def session_id_problem(session_id: str) -> str | None:
    """Say in one clause why ``session_id`` is not allowed, or return None when it is.

    Allowed are 1 to 512 UTF-8 bytes with no control character (Unicode category Cc) and no lone
    surrogate. IDs are compared as bytes and never normalised.
    """
    if (
        session_id.isascii()
        and session_id.isprintable()
        and 0 < len(session_id) <= MAX_SESSION_ID_BYTES
    ):
        return None
    try:
        size = len(session_id.encode())
    except UnicodeEncodeError:
        return "holds a lone surrogate, which UTF-8 cannot carry"
    if not 1 <= size <= MAX_SESSION_ID_BYTES:
        return f"is {size} bytes long; 1 to {MAX_SESSION_ID_BYTES} are allowed"
    control = _CONTROL.search(session_id)
    return f"holds the control character U+{ord(control[0]):04X}" if control else None


def text_problem(text: str) -> str | None:
    """Say in one clause why a text is not allowed, or return None when it is.

    U+0000 is refused because PostgreSQL cannot hold it; the SDK replaces it before it gets here.
    """
    return "holds U+0000" if "\0" in text else None


def items_problem(count: int) -> str | None:
    """Say in one clause why a list may not have ``count`` items, or return None when it may."""
    return f"has {count} items; at most {MAX_ITEMS} are allowed" if count > MAX_ITEMS else None
