"""SQL, kept in ``.sql`` files: loaded by name, expanded from the contract's columns."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


def load(file: str, **expansions: str) -> str:
    """Return a file's text with ``{name}`` replaced by each expansion."""
    text = resources.files(__package__).joinpath(file).read_text("utf-8")
    for name, expansion in expansions.items():
        text = text.replace(f"{{{name}}}", expansion)
    return text


@cache
def statements(file: str, **expansions: str) -> dict[str, str]:
    """Return a file's statements by the names in their ``-- name:`` lines."""
    _, *parts = _NAME.split(load(file, **expansions))
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}
