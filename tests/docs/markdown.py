"""The project's Markdown files, parsed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[2]

_TOP = ("README.md", "CHANGELOG.md")
_FOLDERS = ("docs", "schemas", "tests", "benchmarks", "examples")


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A fenced block: its language, its text, and the line of its fence, counted from 1."""

    path: Path
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands, as an editor opens it."""
        return f"{self.path.relative_to(ROOT).as_posix()}:{self.line}"


def files() -> list[Path]:
    """Return every Markdown file of the project."""
    nested = (path for folder in _FOLDERS for path in (ROOT / folder).rglob("*.md"))
    return [*(ROOT / name for name in _TOP), *sorted(nested)]


def blocks(path: Path, *languages: str) -> list[Block]:
    """Return a file's fenced blocks in these languages, in order; in all when none is named."""
    return [
        Block(path=path, line=_line(token), language=token.info, text=token.content)
        for token in _tokens(path)
        if token.type == "fence" and (not languages or token.info in languages)
    ]


def code_spans(path: Path) -> list[str]:
    """Return what stands between single backticks, outside of fenced blocks."""
    return [token.content for token in _inline(path) if token.type == "code_inline"]


def links(path: Path) -> list[str]:
    """Return the target of every link and picture."""
    targets = [token.attrGet("href") or token.attrGet("src") for token in _inline(path)]
    return [str(target) for target in targets if target is not None]


def anchors(path: Path) -> set[str]:
    """Return the names that a link into the file may end with, as code hosts make them."""
    return {
        re.sub(r"[^\w\- ]", "", following.content.lower()).replace(" ", "-")
        for token, following in pairwise(_tokens(path))
        if token.type == "heading_open"
    }


def tables(path: Path) -> dict[str, list[list[str]]]:
    """Return the tables by the heading above each: a list of rows, cells as they are written."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for token, following in pairwise(_tokens(path)):
        if token.type == "heading_open":
            heading = following.content
        elif token.type == "tr_open":
            found.setdefault(heading, []).append([])
        elif token.type == "td_open":
            found[heading][-1].append(following.content)
    return {name: [row for row in table if row] for name, table in found.items()}


@cache
def _tokens(path: Path) -> list[Token]:
    return MarkdownIt().enable("table").parse(path.read_text("utf-8"))


def _inline(path: Path) -> Iterator[Token]:
    for token in _tokens(path):
        yield from token.children or []


def _line(token: Token) -> int:
    return 1 if token.map is None else token.map[0] + 1
