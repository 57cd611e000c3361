"""The shadow of the reference store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace

from ..errors import StoreUnusableError
from ..state import State
from .memory import MemoryStore, Tables
from .messages import switched_message
from .protocol import DeadLetter, Position, other_generation
from .shadow import Pair, Range, next_epoch


class MemoryShadow(MemoryStore):
    """The generation of a memory store that is not live; see :class:`ShadowStore`.

    Args:
        store: whose shadow it is; both see the same.
    """

    def __init__(self, store: MemoryStore) -> None:
        self.shelf = store.shelf
        self._live = store.shelf.info.generation

    @property
    def tables(self) -> Tables:
        """The tables of the shadow."""
        self._refuse_switched()
        return self.shelf.generations[other_generation(self._live)]

    def begin(
        self, origin: str, first_offsets: Mapping[int, int], letters: Iterable[DeadLetter] = ()
    ) -> None:
        """Empty the shadow and start each partition at its first offset."""
        live = self.shelf.generations[self._live].positions
        epoch = next_epoch(live.values(), self.tables.positions.values())
        self._replace(Tables())
        for partition, first in first_offsets.items():
            self.tables.positions[partition] = Position(
                partition=partition, next_offset=first, owner_epoch=epoch, first_offset=first
            )
        self.tables.dead_letters |= {(each.partition, each.offset): each for each in letters}
        self.note_origin(origin)

    def note_origin(self, origin: str) -> None:
        """Say anew what the shadow is filled from."""
        self._refuse_switched()
        self.shelf.info = replace(self.shelf.info, shadow="filling", shadow_origin=origin)

    def empty(self) -> None:
        """Throw away what the shadow has."""
        self._replace(Tables())
        self.shelf.info = replace(self.shelf.info, shadow="empty", shadow_origin=None)

    def snapshot(self) -> AbstractContextManager[None]:
        """Do nothing, but see that this is the shadow still."""
        self._refuse_switched()
        return super().snapshot()

    @contextmanager
    def holding(self) -> Iterator[dict[int, Position]]:
        """Keep the live generation as it is within the block; yield its positions."""
        self._refuse_switched()
        info = self.shelf.info
        before = {each: tables.copy() for each, tables in self.shelf.generations.items()}
        try:
            yield dict(self.shelf.generations[self._live].positions)
        except BaseException:
            self.shelf.info, self.shelf.generations = info, before
            raise

    def switch(self) -> None:
        """Make the shadow the live generation, and the live one the shadow, which is kept."""
        self._refuse_switched()
        live, shadow = self.shelf.generations[self._live].positions, self.tables.positions
        for partition in shadow:
            epochs = [each[partition].owner_epoch for each in (live, shadow) if partition in each]
            for each in (live, shadow):
                if partition in each:
                    each[partition] = replace(each[partition], owner_epoch=max(epochs) + 1)
            # How often a rebuild was ended here says nothing of the records behind it.
            shadow[partition] = replace(shadow[partition], attempts=0)
        generation = other_generation(self._live)
        self.shelf.info = replace(
            self.shelf.info, generation=generation, shadow="kept", shadow_origin=None
        )

    def pairs(self, ranges: Mapping[int, Range]) -> Iterator[Pair]:
        """Yield the sessions that differ between the generations."""
        live, shadow = self.shelf.generations[self._live].states, self.tables.states
        for key in [*live, *(shadow.keys() - live.keys())]:
            pair = live.get(key), shadow.get(key)
            if pair[0] != pair[1] and _is_within(pair[0] or pair[1] or {}, ranges):
                yield pair

    def _replace(self, tables: Tables) -> None:
        self._refuse_switched()
        self.shelf.generations[other_generation(self._live)] = tables

    def _refuse_switched(self) -> None:
        if self.shelf.info.generation != self._live:
            raise StoreUnusableError(switched_message("in memory"))


def _is_within(state: State, ranges: Mapping[int, Range]) -> bool:
    range_ = ranges.get(state["partition"], Range(low=0, high=0))
    return bool(range_.low <= state["last_offset"] < range_.high)
