"""How ``verify`` shows a difference: on one line, with what matters of long texts."""

from __future__ import annotations

from typing import Any

import pytest

from sessionfold_consumer.cli.verify import _line
from sessionfold_consumer.verify import Difference


def line(**given: Any) -> str:  # noqa: ANN401 - fields of a difference
    """Return the line of a difference in partition 3."""
    return _line(Difference(**{"kind": "state", "partition": 3, **given}))


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (
            {"session_id": "a", "field": "task", "stored": "x", "expected": None},
            'session a in partition 3: task is "x", by the log it is null',
        ),
        (
            {"session_id": "a", "field": "is_finished", "stored": True, "expected": 1},
            "session a in partition 3: is_finished is true, by the log it is 1",
        ),
        (
            {"session_id": "a", "stored": "nothing", "expected": "a state of 2 events"},
            "session a in partition 3: the store has nothing, the log a state of 2 events",
        ),
        (
            {"kind": "dead_letter", "offset": 7, "stored": "nothing", "expected": "a dead letter"},
            "record 3:7: the store has nothing, the log a dead letter",
        ),
        (
            {"kind": "position", "stored": "the position 9", "expected": "no record from 4 on"},
            "partition 3: the store has the position 9, the log no record from 4 on",
        ),
        (
            {"session_id": "\x1b\n", "field": "task", "stored": "\x9b\u202e", "expected": "\n"},
            'session \\x1b\\n in partition 3: task is "\\x9b\\u202e", by the log it is "\\n"',
        ),
    ],
)
def test_a_difference_is_one_line(given: dict[str, Any], shown: str) -> None:
    """Where, what is stored, and what the log says; nothing that moves a terminal's cursor."""
    assert line(**given) == shown


def test_of_long_texts_the_part_that_differs_is_shown() -> None:
    """However long what they have in common is, and what follows."""
    same, rest = "x" * 5000, "z" * 5000
    shown = line(field="task", stored=f"{same}1{rest}", expected=f"{same}2{rest}")
    assert "xxx1zzz" in shown
    assert "xxx2zzz" in shown
    assert len(shown) < 300
    assert shown.count('"…x') == 2
    assert shown.count('z…"') == 2


def test_texts_that_end_where_the_other_goes_on_differ_to_the_eye() -> None:
    """One is the other's beginning."""
    shown = line(field="task", stored="x" * 100, expected="x" * 100 + "y")
    assert shown.endswith('x", by the log it is "…' + "x" * 20 + 'y"')
