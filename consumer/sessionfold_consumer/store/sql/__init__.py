"""SQL, kept in ``.sql`` files: loaded by name, expanded from the contract's columns."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def statements(file: str, **expansions: str) -> dict[str, str]:
    """Return a file's statements by the names in their ``-- name:`` lines, in the file's order.

    Args:
        file: its name in this package.
        expansions: what stands in braces in the file, and what to put there.
    """
    text = _text(file)
    for name, expansion in expansions.items():
        text = text.replace(f"{{{name}}}", expansion)
    _, *parts = _NAME.split(text)
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


@cache
def _text(file: str) -> str:
    return resources.files(__package__).joinpath(file).read_text("utf-8")
