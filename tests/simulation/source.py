"""A member of the group that reads the log: what the Kafka client is to the service."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from sessionfold_consumer.source import Fetched, MemorySource, Watermarks
from sessionfold_consumer.source.memory import MemoryRecord, _batch

from .membership import Group
from .world import World, WrongError

_Found = tuple[int, int, MemoryRecord]
"""A partition, an offset, and the record there."""


class SimulatedSource(MemorySource):
    """Reads a world's log as a member of a group. News of the group come with each poll.

    ``acknowledged`` holds what the broker was told.
    """

    def __init__(self, world: World, group: Group, name: str) -> None:
        super().__init__(world.log, ())
        self._world, self._group, self.name = world, group, name
        self._told_ends: dict[int, int] = {}
        self.member = group.join(name)

    def fetch(
        self,
        max_records: int,
        timeout_seconds: float = 0,
        is_wanted: Callable[[], bool] = lambda: False,
    ) -> Fetched:
        """Read some records, and hear of the group before or after that."""
        random = self._world.random
        polls_first = random.random() < 0.5
        if polls_first:
            self._poll()
        found: list[_Found] = []
        ends: dict[int, int] = {}
        if not self._world.is_broker_away():
            found, ends = self._read_some(max_records)
        if not polls_first:
            self._poll()
        if len(found) < max_records:
            self._world.now += timeout_seconds
        if found:
            self._world.say(f"fetched {_spans(found)}")
        self._world.at("fetch")
        return Fetched(batch=_batch(found), ends=ends)

    def idle(self, timeout_seconds: float) -> None:
        """Only hear of the group."""
        self._world.now += timeout_seconds
        self._poll()
        self._world.at("idle")

    def watermarks(self, partition: int) -> Watermarks:
        """Return a partition's watermarks."""
        self._world.ask_broker("watermarks")
        return super().watermarks(partition)

    def start(self, next_offsets: Mapping[int, int]) -> None:
        """Read from these offsets on."""
        self._world.at("start")
        if not self._own >= next_offsets.keys():
            raise WrongError("assignment", f"{self.name} starts what was not given to it")
        for partition in next_offsets:
            self._told_ends.pop(partition, None)
        super().start(next_offsets)

    def renew(self) -> None:
        """Leave the group, and join it as another member."""
        self._group.leave(self.member)
        self.take(sorted(self._own))
        self.member = self._group.join(self.name)

    def known_ends(self) -> dict[int, int]:
        """Return the high watermarks of what is being read."""
        return {partition: len(self._log.partitions[partition]) for partition in self._cursors}

    def acknowledge(self, next_offsets: Mapping[int, int]) -> None:
        """Tell the broker how far the store is."""
        self._world.at("acknowledge")
        super().acknowledge(next_offsets)

    def close(self) -> None:
        """Leave the group."""
        self._group.leave(self.member)

    def _poll(self) -> None:
        if self._world.is_broker_away():
            return
        member, was_expelled = self.member, self.member.is_expelled
        if was_expelled:
            self.member = self._group.join(self.name)
        while member.news:
            kind, partition = member.news.pop(0)
            self._hear(kind, partition)
            if kind == "taken":
                self._group.released(member, partition)
        if was_expelled:
            self._world.note("heard that it was expelled")

    def _hear(self, kind: str, partition: int) -> None:
        self._world.say(f"is {kind} partition {partition}")
        if kind == "given":
            self.give([partition])
        else:
            self._world.happened["revoked"] += 1
            self.take([partition])

    def _read_some(self, max_records: int) -> tuple[list[_Found], dict[int, int]]:
        """Read some of each partition, in any order; each end is told once, as Kafka's client."""
        random = self._world.random
        partitions = sorted(self._cursors.keys() - self._paused)
        random.shuffle(partitions)
        found: list[_Found] = []
        ends = {}
        for partition in partitions:
            room = max_records - len(found)
            found += self._next(partition, random.randint(1, room) if room else 0)
            cursor = self._cursors[partition]
            is_end = cursor == len(self._log.partitions[partition])
            if is_end and self._told_ends.get(partition) != cursor:
                self._told_ends[partition] = ends[partition] = cursor
        return found, ends

    def _next(self, partition: int, room: int) -> list[_Found]:
        log, cursor = self._log.partitions[partition], self._cursors[partition]
        found: list[_Found] = []
        while cursor < len(log) and len(found) < room:
            record = log[cursor]
            if record is not None:
                found.append((partition, cursor, record))
            cursor += 1
        self._cursors[partition] = cursor
        return found


def _spans(found: Sequence[_Found]) -> str:
    return " ".join(f"{partition}:{offset}" for partition, offset, _ in found)
