"""The table of process ends in docs/guide/guarantees.md is one that its program has printed."""

from __future__ import annotations

import re

from tests.docs import markdown
from tests.e2e.ends.kinds import KINDS, Kind
from tests.e2e.ends.states import STATES

_PAGE = markdown.ROOT / "docs" / "guide" / "guarantees.md"
_ROWS = markdown.tables(_PAGE)["Measured"]
_CELL = re.compile(
    r"(?P<lost>[\d,]+) of [\d,]+(?: \(at most (?P<most>[\d,]+)\))?(?:, [\d,]+ by the spool)?"
)


def test_every_kind_of_end_is_there() -> None:
    """In the program's order, with a cell for each state."""
    assert [row[0] for row in _ROWS] == [kind.title for kind in KINDS]
    assert {len(row) for row in _ROWS} == {1 + len(STATES)}


def test_no_cell_shows_a_loss_that_is_not_promised() -> None:
    """What is lost is what only the memory of a process had that runs no code at its end."""
    for kind, row in zip(KINDS, _ROWS, strict=True):
        for cell in row[1:]:
            _check(kind, cell)


def _check(kind: Kind, cell: str) -> None:
    found = _CELL.fullmatch(cell)
    assert found is not None, cell
    lost, most = (int((found[name] or "0").replace(",", "")) for name in ("lost", "most"))
    assert lost <= most, (kind.name, cell)
    assert kind.may_lose or not most, (kind.name, cell)
