"""Two values of one field, side by side."""

from __future__ import annotations

import json
from itertools import takewhile
from typing import Any

from ._output import printable

_LONGEST_VALUE = 60
_BEFORE_DIFFERENCE = 20


def printable_pair(stored: Any, expected: Any) -> tuple[str, str]:  # noqa: ANN401 - state values
    """Return both values as JSON writes them; of long texts the part where they begin to differ."""
    start = 0
    if isinstance(stored, str) and isinstance(expected, str):
        pairs = zip(stored, expected, strict=False)
        same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        start = same - _BEFORE_DIFFERENCE if same > _LONGEST_VALUE // 2 else 0
    return _json_part(stored, start), _json_part(expected, start)


def _json_part(value: Any, start: int) -> str:  # noqa: ANN401 - a state value
    part = _part(value, start) if isinstance(value, str) else value
    return printable(json.dumps(part, ensure_ascii=False))


def _part(text: str, start: int) -> str:
    part = text[start : start + _LONGEST_VALUE]
    more = start + len(part) < len(text)
    return f"{'…' if start else ''}{part}{'…' if more else ''}"
