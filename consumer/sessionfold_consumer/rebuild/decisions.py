"""What people, or the ends of processes, have decided about records: a rebuild keeps it."""

from __future__ import annotations

from collections.abc import Iterable

from ..commit import LeftOut
from ..store import FATAL_REASON, DeadLetter, SessionStore


def decided(store: SessionStore) -> list[DeadLetter]:
    """Return the dead letters that are kept as they are: retried, dropped, or lethal ones."""
    letters = store.dead_letters()
    return [each for each in letters if each.status != "open" or each.reason == FATAL_REASON]


def left_out(letters: Iterable[DeadLetter]) -> LeftOut:
    """Return which of the decided records are not to be decoded: all but the retried ones."""
    places: dict[int, set[int]] = {}
    for each in letters:
        if each.status != "retried":
            places.setdefault(each.partition, set()).add(each.offset)
    return places
