"""The reference store with crash points: before, in the middle of and after all that it writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from sessionfold_consumer.errors import FencedError, StoreBusyError
from sessionfold_consumer.state import Row, State
from sessionfold_consumer.store import Advance, DeadLetter, MemoryStore, Position, TopicIdentity
from sessionfold_consumer.store.memory import Shelf, Tables

from .world import World, WrongError


@dataclass(kw_only=True, slots=True)
class Database:
    """What all processes of a world share.

    ``begun`` counts, by partition and offset, how often a process said that it is about to fold
    from there, in what is live. Who claimed a partition there last is kept: nobody else may move
    its position. ``shadows`` counts those that were begun. ``holder`` is the process that holds
    what is live as it is.
    """

    shelf: Shelf
    begun: Counter[tuple[int, int]] = field(default_factory=Counter)
    claimants: dict[int, str] = field(default_factory=dict)
    shadow_claimants: dict[int, str] = field(default_factory=dict)
    shadows: int = 0
    holder: str | None = None


def new_database(world: World) -> Database:
    """Return a database with a store that is bound to the world's log."""
    store = MemoryStore()
    partitions = world.profile.partitions
    identity = TopicIdentity(topic="t", topic_id="id", partition_count=partitions)
    store.bind(identity, dict.fromkeys(range(partitions), 0))
    return Database(shelf=store.shelf)


class LiveStore(MemoryStore):
    """What people read: the live generation, whichever that is. Nothing happens to it."""

    def __init__(self, database: Database) -> None:
        self.shelf = database.shelf


class SimulatedStore(MemoryStore):
    """What one process has open of the database.

    As those of real databases it goes on in the generation that was live when it claimed last.
    """

    def __init__(self, world: World, database: Database) -> None:
        self.shelf = database.shelf
        self._world, self._database = world, database
        self.generation = self.shelf.info.generation

    @property
    def tables(self) -> Tables:
        """The tables of the generation that it works in."""
        return self.shelf.generations[self.generation]

    def positions(self) -> dict[int, Position]:
        """Return the position of every partition."""
        self._world.ask_store("positions")
        return super().positions()

    def claim(self, partitions: Sequence[int], owner: str) -> dict[int, Position]:
        """Take partitions over."""
        self._ask_to_write("claim before")
        self.generation = self.shelf.info.generation
        claimed = super().claim(partitions, owner)
        self._database.claimants |= dict.fromkeys(partitions, owner)
        self._world.say(f"claimed {places(claimed.values())} in {self.generation}")
        self._world.at("claim after")
        return claimed

    def attempt(self, positions: Sequence[Position]) -> None:
        """Count that a process is about to fold."""
        self._ask_to_write("attempt before")
        with noting_fences(self._world):
            super().attempt(positions)
        self._database.begun.update((each.partition, each.next_offset) for each in positions)
        self._world.say(f"begins at {places(positions)}")
        self._world.at("attempt after")

    def commit(
        self, advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
    ) -> None:
        """Merge rows, keep dead letters and advance positions."""
        self._ask_to_write("commit before")
        with noting_fences(self._world):
            super().commit(advances, rows, dead_letters)
        self._expect_live(advances)
        expect_claimant(self._world, self._database.claimants, advances)
        self._world.say(f"committed {moves(advances, rows, dead_letters)}")
        self._world.happened["commit"] += 1
        self._world.happened["dead letter"] += len(dead_letters)
        self._world.at("commit after")

    def stop(self, reason: str) -> None:
        """Keep that the service stopped itself."""
        self._refuse_held()
        super().stop(reason)

    def _merged(self, rows: Sequence[Row]) -> dict[tuple[str, int], State]:
        merged = super()._merged(rows)
        self._world.at("commit rows")
        return merged

    def _ask_to_write(self, point: str) -> None:
        self._world.ask_store(point)
        self._refuse_held()

    def _refuse_held(self) -> None:
        """Have no patience with who holds what is live."""
        if self._database.holder is not None:
            self._world.note("waits for who holds it")
            raise StoreBusyError(f"{self._database.holder} holds the store")

    def _expect_live(self, advances: Sequence[Advance]) -> None:
        """Expect that nobody moves a position of what was live before."""
        if advances and self.generation != self.shelf.info.generation:
            raise WrongError("fence", f"{self._world.current} wrote to what is no longer live")


def expect_claimant(world: World, claimants: dict[int, str], advances: Sequence[Advance]) -> None:
    """Expect that who moves a position is who has claimed its partition last."""
    for each in advances:
        claimant = claimants.get(each.position.partition)
        if claimant != world.current:
            words = f"{world.current} moved what {claimant} has claimed"
            raise WrongError("fence", f"{words}: partition {each.position.partition}")


@contextmanager
def noting_fences(world: World) -> Iterator[None]:
    """Count whoever is fenced in the block."""
    try:
        yield
    except FencedError:
        world.note("fence")
        raise


def moves(
    advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
) -> str:
    """Say in words what a commit does."""
    ends = ", ".join(str(each.next_offset) for each in advances)
    begins = places(each.position for each in advances)
    return f"{begins} to {ends}: {len(rows)} rows, {len(dead_letters)} aside"


def places(positions: Iterable[Position]) -> str:
    """Say in words where positions are."""
    return ", ".join(f"{p.partition}:{p.next_offset} (epoch {p.owner_epoch})" for p in positions)
