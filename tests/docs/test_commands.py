"""What the documents tell people to type can be typed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs import commands, markdown

_FILES = markdown.files()
_SHELL = ("sh", "bash", "console", "shell")
_OTHERS = {"cat", "cd", "docker", "git", "gunicorn", "pip", "python", "uvicorn"}
"""Programs of others, whose options are not ours to check."""

_TARGETS = set(re.findall(r"^([a-z]+):", (markdown.ROOT / "Makefile").read_text(), re.MULTILINE))
_STARTS_A_COMMAND = ("sessionfold ", "make ")


def _lines(path: Path) -> list[str]:
    """Return every command line of a file's shell blocks."""
    return [
        line
        for block in markdown.blocks(path, *_SHELL)
        for line in block.text.replace("\\\n", " ").splitlines()
        if line and not line.startswith("#")
    ]


def _typed(path: Path) -> list[str]:
    """Return every command line of a file: in shell blocks all, elsewhere those of ours."""
    spans = [span for span in markdown.code_spans(path) if span.startswith(_STARTS_A_COMMAND)]
    return [*_lines(path), *spans]


_TYPED = [(path, line) for path in _FILES for line in _typed(path)]


@pytest.mark.parametrize(
    ("path", "line"), _TYPED, ids=lambda value: str(getattr(value, "name", value))
)
def test_it_can_be_typed(path: Path, line: str) -> None:
    """Commands, options and make targets exist; variables are read by something."""
    assert list(_problems(line)) == []


def test_there_are_commands_to_check() -> None:
    """A change of the Markdown must not turn these tests off."""
    assert len(_lines(markdown.ROOT / "docs" / "operations.md")) > 10


@pytest.mark.parametrize(
    "line",
    [
        "sessionfold lst",
        "sessionfold list --stael 2h",
        "sessionfold -q list",
        "sessionfold topic crate",
        "docker compose exec consumer sessionfold lst",
        "make tests",
        "export SESSIONFOLD_TOPICS=a",
        "SESSIONFOLD_TOPICS=a sessionfold list",
        "curl example.com",
    ],
)
def test_what_is_wrong_is_seen(line: str) -> None:
    """Each of these is a mistake that a document could make."""
    assert list(_problems(line))


def _problems(line: str) -> Iterator[str]:
    words = shlex.split(line, comments=True)
    if words and words[0] == "$":
        words = words[1:]
    if words and words[0] == "export":
        words = words[1:]
    while words and re.match(r"[A-Z_]+=", words[0]):
        yield from _unread(words.pop(0).partition("=")[0])
    if words:
        yield from _unknown(words)


def _unread(variable: str) -> Iterator[str]:
    free = not variable.startswith("SESSIONFOLD_") or variable.startswith("SESSIONFOLD_KAFKA_")
    if not free and variable not in commands.known_variables():
        yield f"nothing reads {variable}"


def _unknown(words: list[str]) -> Iterator[str]:
    if words[0] == "sessionfold":
        found = commands.problem(words)
        if found is not None:
            yield found
    elif words[0] == "make":
        yield from (
            f"make has no target {w}" for w in words[1:] if "=" not in w and w not in _TARGETS
        )
    elif words[0] == "docker" and "sessionfold" in words:
        yield from _unknown(words[words.index("sessionfold") :])
    elif words[0] not in _OTHERS:
        yield f"{words[0]} is not a command of these documents"
