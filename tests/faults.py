"""Faults to plant in the service: what the oracles of its tests must catch.

Each is a context manager, so that one program can run with it and without. It takes the class of
store whose commits it may spoil: that of the test, with its crash points, if there are any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

import pytest

from sessionfold_consumer import commit as service_commit
from sessionfold_consumer.decode import Events
from sessionfold_consumer.decode import decode as decode_rightly
from sessionfold_consumer.fold import fold as fold_rightly
from sessionfold_consumer.records import RecordBatch
from sessionfold_consumer.source import Fetched
from sessionfold_consumer.state import Row, Rows, state_columns
from sessionfold_consumer.store import Advance, DeadLetter, MemoryShadow, MemoryStore, Position
from sessionfold_consumer.store.protocol import other_generation

Fault = Callable[[type[MemoryStore]], AbstractContextManager[None]]


@contextmanager
def position_off_by_one(store: type[MemoryStore]) -> Iterator[None]:
    """Positions are one too high: a record is passed over."""
    right = service_commit._advances

    def advances(reached: Mapping[int, int], positions: Mapping[int, Position]) -> list[Advance]:
        return right({partition: offset + 1 for partition, offset in reached.items()}, positions)

    with _planted(service_commit, "_advances", advances):
        yield


@contextmanager
def positions_apart(store: type[MemoryStore]) -> Iterator[None]:
    """Positions move in a transaction of their own, behind that of the states."""
    right = store.commit

    def commit(
        self: MemoryStore,
        advances: Sequence[Advance],
        rows: Sequence[Row],
        dead_letters: Sequence[DeadLetter],
    ) -> None:
        right(self, (), rows, dead_letters)
        right(self, advances, (), ())

    with _planted(store, "commit", commit):
        yield


@contextmanager
def no_fence(store: type[MemoryStore]) -> Iterator[None]:
    """A process that lost its partitions writes all the same."""
    right, right_attempt = store.commit, store.attempt

    def commit(
        self: MemoryStore,
        advances: Sequence[Advance],
        rows: Sequence[Row],
        dead_letters: Sequence[DeadLetter],
    ) -> None:
        stored = self.positions()
        unfenced = [replace(each, position=stored[each.position.partition]) for each in advances]
        right(self, unfenced, rows, dead_letters)

    def attempt(self: MemoryStore, positions: Sequence[Position]) -> None:
        stored = self.positions()
        right_attempt(self, [stored[each.partition] for each in positions])

    with _planted(store, "commit", commit), _planted(store, "attempt", attempt):
        yield


@contextmanager
def first_and_last_swapped(store: type[MemoryStore]) -> Iterator[None]:
    """The first event's values of a batch stand for the last one's, and the other way round."""
    names = [column.name for column in state_columns()]
    twins = [
        (names.index(name), names.index(f"last_{name.removeprefix('first_')}"))
        for name in names
        if name.startswith("first_") and name != "first_offset"
    ]

    def fold(events: Events) -> Rows:
        return Rows.of([_swapped(row, twins) for row in fold_rightly(events)])

    with _planted(service_commit, "fold", fold):
        yield


@contextmanager
def batch_dropped_on_rebalance(store: type[MemoryStore]) -> Iterator[None]:
    """What is in hand when some partitions are taken is dropped, that of the others, too."""

    def without(fetched: Fetched, partitions: Sequence[int]) -> Fetched:
        return Fetched.nothing()

    with _planted(Fetched, "without", without):
        yield


@contextmanager
def neighbour_spoiled(store: type[MemoryStore]) -> Iterator[None]:
    """A record behind one that is no valid event is read without its last byte."""

    def decode(batch: RecordBatch) -> Events:
        spoiled = {refused.place + 1 for refused in decode_rightly(batch).refused}
        values = [
            value[:-1] if place in spoiled and value else value
            for place, value in enumerate(batch.values)
        ]
        return decode_rightly(replace(batch, values=values))

    with _planted(service_commit, "decode", decode):
        yield


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        position_off_by_one,
        positions_apart,
        no_fence,
        first_and_last_swapped,
        batch_dropped_on_rebalance,
        neighbour_spoiled,
    )
}
"""Each fault by its name."""


@contextmanager
def switch_without_fence(store: type[MemoryStore]) -> Iterator[None]:
    """A switch leaves the owners' epochs as they are: who holds partitions goes on in the old."""

    def switch(self: MemoryShadow) -> None:
        generation = other_generation(self.shelf.info.generation)
        self.shelf.info = replace(
            self.shelf.info, generation=generation, shadow="kept", shadow_origin=None
        )

    with _planted(MemoryShadow, "switch", switch):
        yield


REBUILD_FAULTS: dict[str, Fault] = {switch_without_fence.__name__: switch_without_fence}
"""Those that only show when a store is rebuilt under a service, by their names."""


@contextmanager
def _planted(owner: object, name: str, wrong: object) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, wrong)
        yield


def _swapped(row: Row, twins: Sequence[tuple[int, int]]) -> Row:
    values: list[Any] = list(row)
    for first, last in twins:
        values[first], values[last] = values[last], values[first]
    return tuple(values)
