"""The reference store with crash points: before, in the middle of and after all that it writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from sessionfold_consumer.errors import FencedError
from sessionfold_consumer.state import Row, State
from sessionfold_consumer.store import Advance, DeadLetter, MemoryStore, Position, TopicIdentity

from .world import World, WrongError


class SimulatedStore(MemoryStore):
    """One store that all processes of a world share.

    ``begun`` counts, by partition and offset, how often a process said that it is about to fold
    from there. Who claimed a partition last is kept: nobody else may move its position.
    """

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.begun: Counter[tuple[int, int]] = Counter()
        self._claimants: dict[int, str] = {}
        partitions = world.profile.partitions
        identity = TopicIdentity(topic="t", topic_id="id", partition_count=partitions)
        self.bind(identity, dict.fromkeys(range(partitions), 0))

    def positions(self) -> dict[int, Position]:
        """Return the position of every partition."""
        self._world.ask_store("positions")
        return super().positions()

    def claim(self, partitions: Sequence[int], owner: str) -> dict[int, Position]:
        """Take partitions over."""
        self._world.ask_store("claim before")
        claimed = super().claim(partitions, owner)
        self._claimants |= dict.fromkeys(partitions, owner)
        self._world.say(f"claimed {_places(claimed.values())}")
        self._world.at("claim after")
        return claimed

    def attempt(self, positions: Sequence[Position]) -> None:
        """Count that a process is about to fold."""
        self._world.ask_store("attempt before")
        with self._noting_fences():
            super().attempt(positions)
        self.begun.update((each.partition, each.next_offset) for each in positions)
        self._world.say(f"begins at {_places(positions)}")
        self._world.at("attempt after")

    def commit(
        self, advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
    ) -> None:
        """Merge rows, keep dead letters and advance positions."""
        self._world.ask_store("commit before")
        with self._noting_fences():
            super().commit(advances, rows, dead_letters)
        self._expect_claimant(advances)
        moves = _places(each.position for each in advances)
        ends = ", ".join(str(each.next_offset) for each in advances)
        self._world.say(f"committed {moves} to {ends}: {len(rows)} rows, {len(dead_letters)} aside")
        self._world.happened["commit"] += 1
        self._world.happened["dead letter"] += len(dead_letters)
        self._world.at("commit after")

    def _merged(self, rows: Sequence[Row]) -> dict[tuple[str, int], State]:
        merged = super()._merged(rows)
        self._world.at("commit rows")
        return merged

    def _expect_claimant(self, advances: Sequence[Advance]) -> None:
        """Expect that who moves a position is who has claimed its partition last."""
        for each in advances:
            claimant = self._claimants.get(each.position.partition)
            if claimant != self._world.current:
                words = f"{self._world.current} moved what {claimant} has claimed"
                raise WrongError("fence", f"{words}: partition {each.position.partition}")

    @contextmanager
    def _noting_fences(self) -> Iterator[None]:
        try:
            yield
        except FencedError:
            self._world.note("fence")
            raise


def _places(positions: Iterable[Position]) -> str:
    return ", ".join(f"{p.partition}:{p.next_offset} (epoch {p.owner_epoch})" for p in positions)
