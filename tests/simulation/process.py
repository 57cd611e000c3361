"""One simulated process: the real service, with a source of its own on the shared store."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from sessionfold_consumer.breaker import Limits
from sessionfold_consumer.observer import Cause, Observer
from sessionfold_consumer.service import Checks, Service

from .later import Later
from .membership import Group
from .source import SimulatedSource
from .store import Database, SimulatedStore
from .world import World, WrongError


class Process(Observer):
    """A process from its start to its end.

    ``is_zombie`` says that it was frozen within the step that it is in, while others went on.
    """

    def __init__(
        self, world: World, database: Database, group: Group, name: str, breaker_run: int
    ) -> None:
        self._world = world
        self._store = SimulatedStore(world, database)
        self.name, self.group = name, group
        self._fences: set[tuple[str, int, int]] = set()
        self.is_alive, self.is_frozen, self.is_zombie = True, False, False
        self.source = SimulatedSource(world, group, name)
        self.background = Later(world, name)
        self.service = Service(
            source=self.source,
            store=self._store,
            topic="t",
            owner=name,
            batch_records=world.profile.batch_records,
            checks=Checks(
                confirm=lambda: world.ask_broker("confirm"),
                inspect=lambda: world.ask_broker("inspect"),
            ),
            limits=Limits(ratio=1, run=breaker_run),
            observer=self,
            background=self.background if world.random.random() < 0.7 else None,
            clock=world.clock,
        )
        # Waits are spread at random, which has to come from the seed, too.
        self.service._patience._random = Random(world.random.random())

    def fenced(self, partitions: Collection[int]) -> None:
        """Count it, and whether it was a zombie's write that was refused."""
        self._expect_other_owner(partitions)
        self._world.note("zombie refused" if self.is_zombie else "other refused")

    def waits(self, cause: Cause) -> None:
        """Keep it in the trace."""
        self._world.say(f"waits for the {cause}")

    def revoked(self, partitions: Collection[int]) -> None:
        """Count partitions that go while their records are in hand."""
        if self.service._work is not None:
            self._world.note("taken with a batch in hand")
        if self.service._work is not None and self.service._work.tried is not None:
            self._world.note("taken with a lost answer")

    def _expect_other_owner(self, partitions: Collection[int]) -> None:
        """Expect that it is fenced by others, and once by each: it has to give up what it held.

        What it has given up already may be taken over while its commit is on the way.
        """
        for partition in partitions:
            position = self._store.tables.positions.get(partition)
            if position is None:
                continue  # what was live before was thrown away
            stored, held = position.owner_epoch, self.service._positions.get(partition)
            if held is None:
                self._world.note("refused after giving up")
            fence = self._store.generation, partition, stored
            if (held and held.owner_epoch >= stored) or fence in self._fences:
                raise WrongError("fence", f"{self.name} was fenced by itself, or again")
            self._fences.add(fence)
