"""Documents and command line use the glossary's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs import commands, markdown

_GLOSSARY = markdown.ROOT / "docs" / "glossary.md"
_ALSO_ORDINARY = {
    "aggregate", "backlog", "cache", "cursor", "emit", "error row", "index", "job", "lock",
    "merge", "message", "parse", "process", "projection", "row", "send", "trace",
}  # fmt: skip
"""Words of the last column that also have an ordinary meaning, in which they may be used."""

_BANNED = {
    word
    for table in markdown.tables(_GLOSSARY).values()
    for row in table
    for word in row[2].split(", ")
    if word and word not in _ALSO_ORDINARY
}
_PATTERN = re.compile(rf"\b({'|'.join(sorted(_BANNED))})(s|d|r|ing)?\b", re.IGNORECASE)
_DOCUMENTS = [path for path in markdown.files() if path != _GLOSSARY]


@pytest.mark.parametrize(
    "path", _DOCUMENTS, ids=lambda path: path.relative_to(markdown.ROOT).as_posix()
)
def test_a_document_uses_the_glossarys_words(path: Path) -> None:
    """One word for one thing, so that a search finds all of it."""
    assert _PATTERN.findall(path.read_text("utf-8")) == []


@pytest.mark.parametrize("name", sorted(commands.all_commands()))
def test_the_help_uses_the_glossarys_words(name: str) -> None:
    """So does the help of each command."""
    assert _PATTERN.findall(commands.help_text(name)) == []


def test_the_glossary_bans_words() -> None:
    """A change of the table must not turn these tests off."""
    assert {"payload", "checkpoint", "serialize"} <= _BANNED
