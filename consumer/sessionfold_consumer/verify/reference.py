"""The plain fold: one event after the other, by the rules that the contract states.

A field's value is that of the event with the highest offset (or the lowest, for ``first``) of those
that gave it. Said so, events may come in any order, each once: a retried dead letter comes late.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sessionfold_schemas import InvalidRecordError, current, decode

Event = dict[str, Any]
"""An event's values by field; None, or no entry, where it gives none."""

SessionKey = tuple[str, int]
"""A session ID and a partition: what has a state of its own."""

Values = tuple[Any, ...]
"""A state's values in the order of :func:`columns`."""


def judge(key: bytes | None, value: bytes | None) -> tuple[str | None, Event]:
    """Return why the strict reference refuses a record, or None and the event."""
    try:
        return None, decode(value, key=key)[1]
    except InvalidRecordError as error:
        return error.reason, {}


class ReferenceFold:
    """Is fed events and keeps the sessions' states."""

    def __init__(self) -> None:
        self._sessions: dict[SessionKey, _Session] = {}

    def __contains__(self, key: SessionKey) -> bool:
        return key in self._sessions

    def __len__(self) -> int:
        return len(self._sessions)

    def add(self, partition: int, offset: int, event: Event) -> None:
        """Fold one event; never the same one twice."""
        key = (event[_names("key")[0]], partition)
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = _Session(first_offset=offset, last_offset=offset)
        session.add(offset, event)

    def states(self) -> Iterator[tuple[SessionKey, Values]]:
        """Return each state with its key, in no order."""
        for key, session in self._sessions.items():
            yield key, (*key, *session.values())


@dataclass(slots=True)
class _Session:
    """What is known of one session in one partition."""

    first_offset: int
    last_offset: int
    event_count: int = 0
    at_first: Event = field(default_factory=dict)
    at_last: Event = field(default_factory=dict)
    sums: dict[str, int] = field(default_factory=dict)
    given: dict[str, tuple[Any, int]] = field(default_factory=dict)

    def add(self, offset: int, event: Event) -> None:
        self.event_count += 1
        if offset <= self.first_offset:
            self.first_offset, self.at_first = offset, _ends(event)
        if offset >= self.last_offset:
            self.last_offset, self.at_last = offset, _ends(event)
        for name in _names("sum"):
            self.sums[name] = self.sums.get(name, 0) + event.get(name, 0)
        for name in _names("first"):
            if event.get(name) is not None and offset < self._offset(name, 1 << 63):
                self.given[name] = (event[name], offset)
        for name in _names("last"):
            if event.get(name) is not None and offset > self._offset(name, -1):
                self.given[name] = (event[name], offset)

    def values(self) -> Iterator[Any]:
        """Return the values of all columns but those of the key."""
        yield from (self.first_offset, self.last_offset, self.event_count)
        for name in _names("first_and_last"):
            yield from (self.at_first.get(name), self.at_last.get(name))
        for name in _names("sum"):
            yield self.sums[name]
        for name in _names("first", "last"):
            yield from self.given.get(name, (None, None))

    def _offset(self, name: str, never: int) -> int:
        return self.given[name][1] if name in self.given else never


@cache
def columns() -> tuple[str, ...]:
    """Return the names of a state's columns, as a store gives them."""
    ends = [f"{end}_{name}" for name in _names("first_and_last") for end in ("first", "last")]
    given = [column for name in _names("first", "last") for column in (name, f"{name}_offset")]
    head = (*_names("key"), "partition", "first_offset", "last_offset", "event_count")
    return (*head, *ends, *_names("sum"), *given)


def _ends(event: Event) -> Event:
    return {name: event.get(name) for name in _names("first_and_last")}


@cache
def _names(*rules: str) -> tuple[str, ...]:
    """Return the fields with one of these fold rules, in the contract's order."""
    return tuple(each.name for each in current().fields if each.fold in rules)
