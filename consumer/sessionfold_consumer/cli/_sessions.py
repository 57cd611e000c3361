"""Which of a session's states a command shows."""

from __future__ import annotations

from collections.abc import Sequence

import click

from ..errors import NotFoundError
from ..state import State
from ..store import store_name
from ._output import printable


def newest(states: Sequence[State], session_id: str, store: str) -> State:
    """Return the state with the last event, and say so when there are several.

    Raises:
        NotFoundError: when there is none.
    """
    if not states:
        raise NotFoundError("session", printable(session_id), store_name(store))
    if len(states) > 1:
        partitions = ", ".join(str(state["partition"]) for state in states)
        click.echo(
            f"sessionfold: this session's events lie in the partitions {partitions}; shown is the "
            "one with the last event; make all writers use the same partitioner (murmur2)",
            err=True,
        )
    return max(states, key=lambda state: int(state["last_occurred_at"]))
