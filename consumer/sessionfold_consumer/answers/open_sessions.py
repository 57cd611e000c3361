"""Sessions that began and did not end, as the store has them: their end never arrived."""

from __future__ import annotations

from collections.abc import Iterator

from ..state import State
from ..store import Selection, SessionStore


def open_sessions(store: SessionStore, since: int | None, until: int) -> Iterator[State]:
    """Yield the open sessions that began in a range of time, by the workers' clocks.

    Args:
        store: what to ask; its states count every event that was folded, in the range or not.
        since: microseconds since the epoch; None is from the first session on.
        until: the same; a session that began later is left out.
    """
    for state in store.select(Selection(status="active")):
        began = state["first_occurred_at"]
        if (since is None or since <= began) and began <= until:
            yield state
