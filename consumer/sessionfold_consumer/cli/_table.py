"""The table of sessions, as ``list`` and ``dev`` show it."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..state import State
from ._output import age, printable

_STYLES = {"succeeded": "green", "failed": "red", "finished": "default", "open": "yellow"}


def sessions_table(states: Iterable[State], now_microseconds: int) -> Table:
    """Return a table of sessions, one a row."""
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    table.add_column("SESSION", no_wrap=True)
    table.add_column("NAME", max_width=24)
    table.add_column("TASK", ratio=1)
    table.add_column("EVAL", justify="right", no_wrap=True)
    table.add_column("STATUS", no_wrap=True)
    table.add_column("EVENTS", justify="right", no_wrap=True)
    table.add_column("LAST", justify="right", no_wrap=True)
    for state in states:
        table.add_row(*_cells(state, now_microseconds))
    return table


def console() -> Console:
    """Return a console for stdout; without a terminal its lines are as long as they need to be."""
    found = Console(markup=False, highlight=False, emoji=False)
    if not found.is_terminal:
        found.width = 200
    return found


def status(state: State) -> str:
    """Return a session's status in a word, and what it lost if it lost anything."""
    if state["is_successful"] is not None and state["is_finished"]:
        word = "succeeded" if state["is_successful"] else "failed"
    else:
        word = "finished" if state["is_finished"] else "open"
    return word


def _cells(state: State, now_microseconds: int) -> list[Text]:
    word = status(state)
    lost = f" ({state['lost_before']} lost)" if state["lost_before"] else ""
    score = state["session_eval"]
    return [
        Text(printable(state["session_id"])),
        Text(printable(state["session_name"] or "-")),
        Text(printable(state["task"] or "-")),
        Text("-" if score is None else f"{score:g}"),
        Text(word + lost, style=_STYLES[word]),
        Text(str(state["event_count"])),
        Text(age(state["last_occurred_at"], now_microseconds)),
    ]
