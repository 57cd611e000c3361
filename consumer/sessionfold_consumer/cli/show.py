"""``sessionfold show``: one session's state."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import click

from sessionfold_schemas import current

from ..state import State
from ..store import open_store
from . import _options
from ._output import dead_letters_of, human, json_state, print_json
from ._sessions import newest


@click.command("show")
@click.argument("session_id")
@_options.as_json
@_options.store
def command(session_id: str, as_json: bool, store: str) -> None:
    """Show the state of one session, and which record set each field."""
    with closing(open_store(store, read_only=True)) as opened:
        states = opened.get(session_id)
        counts = opened.set_aside()
    state = newest(states, session_id, store)
    if as_json:
        print_json(json_state(state, counts))
    else:
        click.echo("\n".join(_lines(state, dead_letters_of(state, counts))))


def _lines(state: State, dead_letters: int) -> list[str]:
    rows: list[tuple[str, Any, str]] = [(current().key.name, state[current().key.name], "")]
    for field in current().state_fields:
        offset = state[f"{field.name}_offset"]
        origin = "" if offset is None else f"set by {state['partition']}:{offset}"
        rows.append((field.name, state[field.name], origin))
    own = ("first_occurred_at", "last_occurred_at", "lost_before", "event_count", "partition",
           "first_offset", "last_offset")  # fmt: skip
    rows += [(name, state[name], "") for name in own]
    if dead_letters:
        rows.append(("dead_letters", dead_letters, "see: sessionfold dead-letters list"))
    return [f"{name:<21} {human(name, value)}{_aside(origin)}" for name, value, origin in rows]


def _aside(origin: str) -> str:
    return click.style(f"  ({origin})", dim=True) if origin else ""
