"""The prefix of the log that is folded so far, and whether a store can be followed from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..records import RecordBatch
from ..store import Gap, TopicIdentity
from .reference import ReferenceFold, judge
from .stored import Image, Place, Stored, image


@dataclass(slots=True)
class Aside:
    """A record that the reference refuses, or that was listed as a dead letter when it was read."""

    image: Image
    reason: str | None
    """Why the reference refuses it; None when it is a valid event."""
    is_folded: bool = False

    @property
    def is_waiting(self) -> bool:
        """Whether it is a valid event that is in no state."""
        return self.reason is None and not self.is_folded


class Prefix:
    """The fold of the log from each partition's first offset to before ``reached``.

    Without the dead letters that were open or dropped when they were read, or since. ``asides`` are
    kept for as long as the prefix: whether each is still listed is asked at every check.
    """

    def __init__(self, stored: Stored) -> None:
        self._identity: TopicIdentity | None = stored.identity
        self._first_offsets = {p: each.first_offset for p, each in stored.positions.items()}
        self._gaps = stored.gaps
        self.reached = dict(self._first_offsets)
        self.fold = ReferenceFold()
        self.asides: dict[Place, Aside] = {}
        self.passed_over: list[Place] = []
        """Records of the log that lie in gaps: they were not deleted."""
        self.records = 0

    def waiting(self) -> set[Place]:
        """Return the places of valid events that are to be folded once they are retried."""
        return {place for place, aside in self.asides.items() if aside.is_waiting}

    def went_back(self, stored: Stored) -> dict[int, tuple[int, int]]:
        """Return the partitions whose positions are before what is folded, with both offsets."""
        return {
            partition: (reached, stored.positions[partition].next_offset)
            for partition, reached in self.reached.items()
            if partition in stored.positions and stored.positions[partition].next_offset < reached
        }

    def obstacle(self, stored: Stored) -> str | None:
        """Say why this is no prefix of what the store should be by now, or return None."""
        if stored.identity != self._identity:
            return "the store belongs to another topic"
        first_offsets = {p: each.first_offset for p, each in stored.positions.items()}
        if first_offsets != self._first_offsets:
            return "a partition is folded from another offset on"
        if self._behind(stored.gaps) != self._behind(self._gaps):
            return "other gaps are on record than before"
        return self._obstacle_in_letters(stored)

    def follow(self, stored: Stored) -> None:
        """Go on to what a store says now; ask for an ``obstacle`` before."""
        self._gaps = stored.gaps

    def take(self, batch: RecordBatch, stored: Stored) -> None:
        """Fold records that follow on what was reached, as the store's dead letters say."""
        places = zip(batch.partitions, batch.offsets, strict=True)
        for i, place in enumerate(places):
            self._take(batch, i, place, stored)
            self.reached[place[0]] = place[1] + 1
        self.records += len(batch)

    def reach(self, ends: Mapping[int, int]) -> None:
        """Note that there are no more records before these offsets."""
        for partition, end in ends.items():
            self.reached[partition] = max(end, self.reached[partition])

    def fold_retried(self, stored: Stored) -> None:
        """Fold the events of dead letters that were retried since they were read."""
        for place, (key, value) in stored.retried.items():
            aside = self.asides.get(place)
            # Only with the log's bytes; others are a difference already, and nothing to fold.
            if aside and aside.is_waiting and stored.letters[place].image == aside.image:
                self.fold.add(*place, judge(key, value)[1])
                aside.is_folded = True

    def _take(self, batch: RecordBatch, i: int, place: Place, stored: Stored) -> None:
        if any(
            gap.partition == place[0] and gap.first <= place[1] < gap.end for gap in stored.gaps
        ):
            self.passed_over.append(place)
            return
        reason, event = judge(batch.keys[i], batch.values[i])
        listed = stored.letters.get(place)
        is_folded = reason is None and (listed is None or listed.status == "retried")
        if is_folded:
            self.fold.add(*place, event)
        if listed is not None or not is_folded:
            found = image(batch.timestamps[i], batch.keys[i], batch.values[i], batch.headers(i))
            self.asides[place] = Aside(found, reason, is_folded)

    def _behind(self, gaps: Sequence[Gap]) -> list[Gap]:
        """Return the gaps that begin within what is folded."""
        return [gap for gap in gaps if gap.first < self.reached.get(gap.partition, 0)]

    def _obstacle_in_letters(self, stored: Stored) -> str | None:
        for place, aside in self.asides.items():
            listed = stored.letters.get(place)
            if listed is None and aside.is_waiting:
                return f"the dead letter {place[0]}:{place[1]} is no longer listed"
            if listed is not None and listed.status != "retried" and aside.is_folded:
                return f"the dead letter {place[0]}:{place[1]} is {listed.status} again"
        for place in stored.letters:
            if place not in self.asides and place[1] < self.reached.get(place[0], 0):
                return f"the dead letter {place[0]}:{place[1]} was not listed before"
        return None
