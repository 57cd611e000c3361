"""Where processes ended while they folded: there, less is folded at a time. Pure.

The store counts the attempts at a position (see ``SessionStore.attempt``); one that failed without
ending its process is taken back. Where two processes ended, the next one folds behind their
position in smaller batches, each counted before it is decoded; so where it ends, too, the record
that ends processes is among few. With each end the batches get smaller, until they are of one
record; the record that is alone when two more processes end is set aside undecoded, where that is
wanted.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Set
from dataclasses import replace

from .store import Advance, Position

logger = logging.getLogger("sessionfold_consumer")

CAREFUL_ATTEMPTS = 2
"""From so many attempts at one position on, fewer records are folded at a time."""

FATAL_ATTEMPTS = 6
"""After so many attempts at one position its record is set aside undecoded."""

_SIZES = {2: 1_024, 3: 32, 4: 1}
"""The records of a batch where so many attempts came to nothing; of more, as of the most."""


class Caution:
    """What a process knows of the dangers in the partitions that it holds.

    Args:
        records: the records of a batch where there is no danger.
        sets_aside: whether a record at which processes ended again and again is set aside.
    """

    def __init__(self, records: int, *, sets_aside: bool = True) -> None:
        self._records = records
        self._sets_aside = sets_aside
        self._unproven: set[int] = set()
        self._survived: dict[int, int] = {}
        self._counted: dict[int, Position] = {}
        self._levels: dict[int, int] = {}
        self._left: dict[int, int] = {}
        self._fatal: set[int] = set()

    @property
    def batch_records(self) -> int:
        """How many records are to be folded at a time."""
        return min([self._records, *(_SIZES[level] for level in self._levels.values())])

    @property
    def fatal(self) -> Set[int]:
        """The partitions whose next record is not to be decoded."""
        return self._fatal

    def asks_for_care(self, at: Collection[int]) -> bool:
        """Say whether something is to be counted or set aside before these partitions' records."""
        return bool(self._levels or self._fatal or self._unproven.intersection(at))

    def take_over(self, claimed: Mapping[int, Position]) -> None:
        """Take the positions of partitions that this process has claimed."""
        self._unproven |= claimed.keys()
        for partition, position in claimed.items():
            if self._survived.get(partition) == position.next_offset:
                continue  # an attempt that ended in a fence harmed nobody
            if position.attempts >= CAREFUL_ATTEMPTS:
                self._beware(position)

    def give_up(self, partitions: Collection[int]) -> None:
        """Forget partitions that this process no longer holds."""
        for partition in partitions:
            self._be_at_ease(partition)
        self._fatal -= {*partitions}

    def to_be_counted(self, held: Mapping[int, Position], at: Collection[int]) -> list[Position]:
        """Return what to count before the records in hand are decoded.

        Args:
            held: the positions of this process's partitions.
            at: the partitions that have records in hand.
        """
        if not self._unproven:
            return []
        return [
            replace(held[each], attempts=max(held[each].attempts, self._levels.get(each, 0)))
            for each in sorted(self._unproven.intersection(at, held))
        ]

    def counted(self, positions: Collection[Position]) -> None:
        """Note that the store has counted the attempts at these positions."""
        self._unproven -= {each.partition for each in positions}
        self._survived |= {each.partition: each.next_offset for each in positions}
        self._counted |= {each.partition: each for each in positions}

    def to_be_spared(self) -> list[Position]:
        """Return where attempts of this process are counted that came to nothing yet."""
        return [*self._counted.values()]

    def spared(self) -> None:
        """Note that they were taken back: the next ones are counted again."""
        self._unproven |= self._counted.keys()
        self._counted.clear()

    def moved(self, advances: Collection[Advance]) -> None:
        """Note that positions moved, and nothing happened."""
        for advance in advances:
            partition = advance.position.partition
            self._counted.pop(partition, None)
            self._fatal.discard(partition)
            if partition in self._left:
                self._left[partition] -= advance.next_offset - advance.position.next_offset
                self._unproven.add(partition)
                if self._left[partition] <= 0:
                    self._be_at_ease(partition)

    def _be_at_ease(self, partition: int) -> None:
        self._levels.pop(partition, None)
        self._left.pop(partition, None)

    def _beware(self, position: Position) -> None:
        level = min(position.attempts, max(_SIZES))
        self._levels[position.partition] = level
        # The batch that ended the last process was of the size before.
        self._left[position.partition] = _SIZES.get(level - 1, self._records)
        if self._sets_aside and position.attempts >= FATAL_ATTEMPTS:
            self._fatal.add(position.partition)
        logger.warning(
            "%d processes ended while they folded partition %d from offset %d on; its next records "
            "are folded %s at a time",
            position.attempts,
            position.partition,
            position.next_offset,
            f"{_SIZES[level]:,}",
        )
