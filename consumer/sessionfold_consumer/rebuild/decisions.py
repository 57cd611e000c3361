"""What people, or the ends of processes, have decided about records: a rebuild keeps it."""

from __future__ import annotations

from collections.abc import Iterable

from ..commit import LeftOut
from ..dead_letters import portions, retry
from ..store import FATAL_REASON, DeadLetter, SessionStore, ShadowStore


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


def decide_alike(live: SessionStore, shadow: ShadowStore) -> None:
    """Do in the shadow what was decided in live, also about records that it has yet to fold."""
    open_ones = {(each.partition, each.offset) for each in shadow.dead_letters()
                 if each.status == "open"}  # fmt: skip
    decisions = decided(live)
    again = [each for each in decisions if (each.partition, each.offset) in open_ones]
    shadow.resolve([each for each in again if each.status == "dropped"], "dropped")
    for some in portions(each for each in again if each.status == "retried"):
        done = retry(some)
        shadow.resolve(done.accepted, "retried", done.rows)
    reached = shadow.positions()
    # What it has folded as a valid event stays one.
    ahead = [each for each in decisions if each.offset >= reached[each.partition].next_offset]
    shadow.commit((), (), ahead)
