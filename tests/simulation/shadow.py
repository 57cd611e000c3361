"""The shadow of the reference store with crash points."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from sessionfold_consumer.errors import StoreBusyError
from sessionfold_consumer.state import Row
from sessionfold_consumer.store import Advance, DeadLetter, MemoryShadow, Position
from sessionfold_consumer.store.memory import Tables
from sessionfold_consumer.store.protocol import other_generation

from .store import Database, LiveStore, expect_claimant, moves, noting_fences, places
from .world import World


class SimulatedShadow(MemoryShadow):
    """What one process that rebuilds has open of the database.

    As those of real databases it does not look, when it commits, whether another process has
    switched meanwhile: then it has to be fenced.
    """

    def __init__(self, world: World, database: Database) -> None:
        super().__init__(LiveStore(database))
        self._world, self._database = world, database
        self._began = database.shadows

    @property
    def tables(self) -> Tables:
        """The tables of what was not live when it was opened."""
        return self.shelf.generations[other_generation(self._live)]

    def begin(
        self, origin: str, first_offsets: Mapping[int, int], letters: Iterable[DeadLetter] = ()
    ) -> None:
        """Empty the shadow and start each partition at its first offset."""
        self._ask_to_write("shadow begin before")
        super().begin(origin, first_offsets, letters)
        self._database.shadows += 1
        self._world.note("rebuild begins")
        self._world.at("shadow begin after")

    def empty(self) -> None:
        """Throw away what the shadow has."""
        self._ask_to_write("shadow empty before")
        super().empty()
        self._world.note("thrown away")
        self._world.at("shadow empty after")

    def positions(self) -> dict[int, Position]:
        """Return the position of every partition."""
        self._world.ask_store("shadow positions")
        return super().positions()

    def claim(self, partitions: Sequence[int], owner: str) -> dict[int, Position]:
        """Take partitions over."""
        self._ask_to_write("shadow claim before")
        self._refuse_switched()
        claimed = super().claim(partitions, owner)
        self._database.shadow_claimants |= dict.fromkeys(partitions, owner)
        self._began = self._database.shadows
        self._world.say(f"claimed {places(claimed.values())} in the shadow")
        self._world.at("shadow claim after")
        return claimed

    def attempt(self, positions: Sequence[Position]) -> None:
        """Count that a process is about to fold."""
        self._ask_to_write("shadow attempt before")
        with noting_fences(self._world):
            super().attempt(positions)
        self._world.at("shadow attempt after")

    def commit(
        self, advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
    ) -> None:
        """Merge rows, keep dead letters and advance positions."""
        self._ask_to_write("shadow commit before")
        with noting_fences(self._world):
            super().commit(advances, rows, dead_letters)
        self._expect_claimant(advances)
        self._world.say(f"committed to the shadow {moves(advances, rows, dead_letters)}")
        self._world.at("shadow commit after")

    @contextmanager
    def holding(self) -> Iterator[dict[int, Position]]:
        """Keep the live generation as it is within the block; yield its positions."""
        self._ask_to_write("shadow hold before")
        with super().holding() as positions:
            self._database.holder = self._world.current
            try:
                yield positions
                self._world.at("shadow hold end")
            finally:
                self._database.holder = None
        if self.shelf.info.generation != self._live:
            self._database.claimants.clear()
            self._database.shadow_claimants.clear()
            self._world.note("switched")
        self._world.at("shadow hold after")

    def _expect_claimant(self, advances: Sequence[Advance]) -> None:
        """Expect that a shadow is folded by who has claimed it last.

        After one was thrown away epochs begin anew; what a frozen rebuild writes into the next one
        is the fold of the same log, or the comparison finds it.
        """
        if self._began == self._database.shadows:
            expect_claimant(self._world, self._database.shadow_claimants, advances)
        elif advances:
            self._world.note("wrote to the next shadow")

    def _ask_to_write(self, point: str) -> None:
        self._world.ask_store(point)
        holder = self._database.holder
        if holder not in (None, self._world.current):
            raise StoreBusyError(f"{holder} holds the store")
