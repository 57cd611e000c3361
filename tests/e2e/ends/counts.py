"""What the log holds of each cell."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from sessionfold_schemas import decode
from tests.services.topics import StoredRecord

Event = dict[str, Any]


@dataclass(kw_only=True, slots=True)
class Counts:
    """A cell's events, as the log has them."""

    numbers: Counter[int] = field(default_factory=Counter)
    """How often each call is there."""
    ended: Counter[str] = field(default_factory=Counter)
    """How often each session was ended; an event that is there again is not another end."""
    opinions: int = 0
    """Events with an opinion on success, which no call here has given."""
    out_of_order: list[str] = field(default_factory=list)
    """Sessions in which a call first comes behind a later one, or a later one is not the last."""


def of_log(records: Iterable[StoredRecord]) -> dict[str, Counts]:
    """Return what the log holds, by cell."""
    sessions: dict[str, list[Event]] = defaultdict(list)
    for record in records:
        _, event = decode(record.value, key=record.key)
        sessions[event["session_id"]].append(event)
    cells: dict[str, Counts] = defaultdict(Counts)
    for session_id, events in sessions.items():
        _count(cells[session_id.split("/")[0]], session_id, events)
    return cells


def _count(counts: Counts, session_id: str, events: list[Event]) -> None:
    numbers = [number_of(event) for event in events]
    counts.numbers.update(number for number in numbers if number >= 0)
    ends = {(e["producer_id"], e["sequence"]) for e in events if e["is_finished"] is True}
    counts.ended[session_id] += len(ends)
    counts.opinions += sum(event["is_successful"] is not None for event in events)
    if not _is_in_order(events):
        counts.out_of_order.append(session_id)


def _is_in_order(events: list[Event]) -> bool:
    """Say whether each producer's calls come in order; those again that follow a repeated one."""
    producers: dict[str, list[int]] = defaultdict(list)
    for event in events:
        if event["session_eval"] is not None:
            producers[event["producer_id"]].append(number_of(event))
    return all(
        (first := list(dict.fromkeys(numbers))) == sorted(first) and numbers[-1] == first[-1]
        for numbers in producers.values()
    )


def number_of(event: Event) -> int:
    """Return the number of the call that an event is of; -1 for others."""
    return -1 if event["session_eval"] is None else int(event["session_eval"])
