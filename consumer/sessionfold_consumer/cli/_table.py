"""The table of sessions, as ``list`` and ``dev`` show it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..state import State
from ..store import SetAside
from ._output import age, dead_letters_of, printable

UNBOUNDED_WIDTH = 100_000
"""The width of what is no terminal: nothing is cut."""

_HEADERS = ("SESSION", "NAME", "TASK", "EVAL", "STATUS", "EVENTS", "LAST")
_RIGHT = {"EVAL", "EVENTS", "LAST"}
_LAST_WIDTHS = (7, 9, 6, 4)
_GAPS = 2 * (len(_HEADERS) - 1)
_WIDE_TERMINAL = 112
_ID_WIDTH, _SHORT_ID_WIDTH = 36, 9
_NAME_WIDTH = 24

_STYLES = {"succeeded": "green", "failed": "red", "finished": "default", "open": "yellow"}


def sessions_table(
    states: Iterable[State],
    now_microseconds: int,
    width: int,
    dead_letters: SetAside | None = None,
) -> Table:
    """Return a table of sessions, one a row, for a terminal of ``width`` columns.

    ``dead_letters`` are marked at their sessions. Where there is no room the ID gives way first:
    people look for the name, and JSON has it whole.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for header, most in zip(_HEADERS, _widths(width), strict=True):
        justify: Literal["left", "right"] = "right" if header in _RIGHT else "left"
        table.add_column(header, justify=justify, no_wrap=True, overflow="ellipsis", max_width=most)
    for state in states:
        set_aside = dead_letters_of(state, dead_letters) if dead_letters else 0
        table.add_row(*_cells(state, now_microseconds, set_aside))
    return table


def _widths(terminal: int) -> tuple[int | None, ...]:
    if terminal == UNBOUNDED_WIDTH:
        return (None,) * len(_HEADERS)
    session = _ID_WIDTH if terminal >= _WIDE_TERMINAL else _SHORT_ID_WIDTH
    rest = max(12, terminal - session - sum(_LAST_WIDTHS) - _GAPS)
    name = min(_NAME_WIDTH, rest // 2)
    return (session, name, rest - name, *_LAST_WIDTHS)


def console() -> Console:
    """Return a console for stdout; without a terminal its lines are as long as they need to be."""
    found = Console(markup=False, highlight=False, emoji=False)
    if not found.is_terminal:
        found.width = UNBOUNDED_WIDTH
    return found


def status(state: State) -> str:
    """Return a session's status in a word, and what it lost if it lost anything."""
    if state["is_successful"] is not None and state["is_finished"]:
        word = "succeeded" if state["is_successful"] else "failed"
    else:
        word = "finished" if state["is_finished"] else "open"
    return word


def _cells(state: State, now_microseconds: int, set_aside: int) -> list[Text]:
    word = status(state)
    missing = {"lost": state["lost_before"], "set aside": set_aside}
    counts = ", ".join(f"{count} {what}" for what, count in missing.items() if count)
    lost = f" ({counts})" if counts else ""
    score = state["session_eval"]
    return [
        Text(printable(state["session_id"])),
        Text(printable(state["session_name"] or "-")),
        Text(printable(state["task"] or "-")),
        Text("-" if score is None else f"{score:.4g}"),
        Text(word + lost, style=_STYLES[word]),
        Text(str(state["event_count"])),
        Text(age(state["last_occurred_at"], now_microseconds)),
    ]
