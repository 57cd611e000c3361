"""Names of parametrized tests."""

from __future__ import annotations

import re


def shown(value: object) -> str:
    """Return how a value looks, the same in every process: without its address in memory."""
    return re.sub(r" at 0x[0-9a-f]+", "", ascii(value))
