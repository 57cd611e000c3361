"""A set of whole numbers that mostly follow on each other, kept as ranges."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from typing import NamedTuple


class MissingNumbers(NamedTuple):
    """Numbers that follow on each other and were not seen, both ends included."""

    first: int
    last: int
    noticed: int
    """The earliest time of a range behind them: when it could be seen that they are missing."""

    @property
    def size(self) -> int:
        """How many they are."""
        return self.last - self.first + 1


class Numbers:
    """The numbers that were seen, each with a time; memory is proportional to the gaps.

    Of the times only that of each range's first number is kept.
    """

    def __init__(self) -> None:
        self._firsts: list[int] = []
        self._ends: list[int] = []
        self._times: list[int] = []

    def add(self, number: int, time: int) -> bool:
        """Take a number; return whether it is new."""
        ends = self._ends
        if ends and number == ends[-1]:  # nearly always
            ends[-1] += 1
            return True
        return self._insert(number, time)

    def gaps(self, first: int | None = None) -> list[MissingNumbers]:
        """Return what is missing between the numbers, and from ``first`` on to the lowest."""
        noticed = list(accumulate(reversed(self._times), min))[::-1]
        edges = list(zip([first, *self._ends], self._firsts, noticed, strict=False))
        return [
            MissingNumbers(end, following - 1, time)
            for end, following, time in edges
            if end is not None and end < following
        ]

    def _insert(self, number: int, time: int) -> bool:
        """Put a number between, or at, the ranges that there are."""
        place = bisect_right(self._firsts, number)
        if place and number < self._ends[place - 1]:
            return False
        joins_before = place > 0 and self._ends[place - 1] == number
        joins_behind = place < len(self._firsts) and self._firsts[place] == number + 1
        if joins_before and joins_behind:
            self._ends[place - 1] = self._ends[place]
            del self._firsts[place], self._ends[place], self._times[place]
        elif joins_before:
            self._ends[place - 1] += 1
        elif joins_behind:
            self._firsts[place], self._times[place] = number, time
        else:
            self._firsts.insert(place, number)
            self._ends.insert(place, number + 1)
            self._times.insert(place, time)
        return True
