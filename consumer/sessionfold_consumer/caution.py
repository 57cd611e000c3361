"""Where processes ended while they folded: there, records are folded one at a time. Pure.

The store counts the attempts at a position (see ``SessionStore.attempt``); one that failed without
ending its process is taken back. After two of them its partition is folded with care, record by
record, so that what is behind the position is soon just the record that ends processes; after five,
that record is set aside undecoded.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Set

from .store import Position

logger = logging.getLogger("sessionfold_consumer")

CAREFUL_ATTEMPTS = 2
"""From so many attempts at one position on, records are folded one at a time."""

FATAL_ATTEMPTS = 5
"""After so many attempts at one position its record is set aside undecoded."""


class Caution:
    """What a process knows of the dangers in the partitions that it holds.

    Args:
        records: for so many records care is taken behind a position where processes ended.
    """

    def __init__(self, records: int) -> None:
        self._records = records
        self._unproven: set[int] = set()
        self._survived: dict[int, int] = {}
        self._counted: dict[int, Position] = {}
        self._left: dict[int, int] = {}
        self._fatal: set[int] = set()

    @property
    def is_careful(self) -> bool:
        """Whether records are to be folded one at a time."""
        return bool(self._left)

    @property
    def fatal(self) -> Set[int]:
        """The partitions whose next record is not to be decoded."""
        return self._fatal

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
            self._left.pop(partition, None)
        self._fatal -= {*partitions}

    def to_be_counted(self, partitions: Collection[int]) -> list[int]:
        """Return the partitions, of those with records in hand, that nothing was folded of yet."""
        if not self._unproven:
            return []
        return sorted(self._unproven.intersection(partitions))

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

    def moved(self, partitions: Collection[int], records: int) -> None:
        """Note that so many records were folded, of these partitions, and nothing happened."""
        for partition in self._left.keys() & {*partitions}:
            self._left[partition] -= records
            if self._left[partition] <= 0:
                del self._left[partition]
        self._fatal -= {*partitions}
        for partition in partitions:
            self._counted.pop(partition, None)

    def _beware(self, position: Position) -> None:
        self._left[position.partition] = self._records
        if position.attempts >= FATAL_ATTEMPTS:
            self._fatal.add(position.partition)
        logger.warning(
            "%d processes ended while they folded partition %d from offset %d on; its records "
            "are now folded one at a time",
            position.attempts,
            position.partition,
            position.next_offset,
        )
