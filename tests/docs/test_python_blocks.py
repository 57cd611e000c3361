"""The Python blocks of the guide and the README run, and publish what stands below them."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from sessionfold.testing import record
from tests.docs import markdown

_FILES = (markdown.ROOT / "docs" / "guide.md", markdown.ROOT / "README.md")
_NOT_SHOWN = {
    "session_id", "occurred_at", "producer_id", "sequence", "lost_before", "started_at", "ended_at",
}  # fmt: skip
"""Times, IDs and counts."""

_BLOCKS = [block for path in _FILES for block in markdown.blocks(path)]
_PYTHON = [block for block in _BLOCKS if block.language == "python"]
_PUBLISHED = [
    (program, shown)
    for program, shown in pairwise(_BLOCKS)
    if program.language == "python" and shown.language == "json"
]


def _run(block: markdown.Block) -> list[dict[str, Any]]:
    """Run a block as a program and return the events it published."""
    with record() as events:
        exec(compile(block.text, block.place, "exec"), {"__name__": "__main__"})  # noqa: S102
        return list(events)


@pytest.mark.parametrize("block", _PYTHON, ids=lambda block: block.place)
def test_the_block_runs(block: markdown.Block) -> None:
    """As it stands, from its first line on."""
    _run(block)


@pytest.mark.parametrize(("program", "shown"), _PUBLISHED, ids=lambda block: block.place)
def test_the_block_publishes_what_is_shown(program: markdown.Block, shown: markdown.Block) -> None:
    """Each line is an event: all its fields but times, IDs and counts."""
    published = [
        {name: value for name, value in event.items() if name not in _NOT_SHOWN}
        for event in _run(program)
    ]
    assert published == [json.loads(line) for line in shown.text.splitlines()]


def test_there_are_blocks_to_run() -> None:
    """A change of the Markdown must not turn these tests off."""
    assert {block.path for block in _PYTHON} >= {_FILES[0]}
    assert len(_PUBLISHED) >= 3
