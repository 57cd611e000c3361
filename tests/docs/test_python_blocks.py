"""The Python blocks of the guide and the README run, and publish what stands below them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sessionfold.testing import record
from tests.docs import markdown

_DOCS = markdown.ROOT / "docs"
_FILES = (
    _DOCS / "guide.md",
    *sorted((_DOCS / "guide").glob("*.md")),
    _DOCS / "migration.md",
    markdown.ROOT / "README.md",
)
_NOT_SHOWN = {
    "session_id", "occurred_at", "producer_id", "sequence", "lost_before", "started_at", "ended_at",
}  # fmt: skip
"""Times, IDs and counts."""

_CONFIGURES = "lai.configure("
"""Is in a block that sets up a client, which a process has only one of."""

_BLOCKS = [block for path in _FILES for block in markdown.blocks(path)]
_PYTHON = [block for block in _BLOCKS if block.language == "python"]
_RECORDED = [block for block in _PYTHON if _CONFIGURES not in block.text]
_CONFIGURING = [block for block in _PYTHON if _CONFIGURES in block.text]
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


@pytest.mark.parametrize("block", _RECORDED, ids=lambda block: block.place)
def test_the_block_runs(block: markdown.Block) -> None:
    """As it stands, from its first line on."""
    _run(block)


@pytest.mark.parametrize("block", _CONFIGURING, ids=lambda block: block.place)
def test_the_block_that_configures_runs(block: markdown.Block, tmp_path: Path) -> None:
    """As a program of its own, which meets no broker."""
    program = tmp_path / "program.py"
    program.write_text(block.text, "utf-8")
    nowhere = {"SESSIONFOLD_BOOTSTRAP_SERVERS": "127.0.0.1:1"}
    subprocess.run([sys.executable, program], env=os.environ | nowhere, cwd=tmp_path, check=True)


@pytest.mark.parametrize(("program", "shown"), _PUBLISHED, ids=lambda block: block.place)
def test_the_block_publishes_what_is_shown(program: markdown.Block, shown: markdown.Block) -> None:
    """Each line is an event: all its fields but times, IDs and counts."""
    published = [
        {name: value for name, value in event.items() if name not in _NOT_SHOWN}
        for event in _run(program)
    ]
    assert published == [json.loads(line) for line in shown.text.splitlines()]


def test_there_are_blocks_to_run() -> None:
    """A change of the Markdown must not turn these tests off: each page but one has blocks."""
    without = {path.name for path in _FILES} - {block.path.name for block in _PYTHON}
    assert without == {"guarantees.md"}
    assert len(_PUBLISHED) >= 4
    assert len(_CONFIGURING) >= 3
