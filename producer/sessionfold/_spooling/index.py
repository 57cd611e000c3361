"""Where the entries of a journal are that are not known to be delivered: 24 bytes an entry."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice
from operator import le
from typing import NamedTuple

_COMPACT_AT = 4096
_MOST_SPAN_BYTES = 1024 * 1024
_MOST_GAP_BYTES = 4096
"""Reading over a gap, of marks for example, is cheaper than reading twice."""


class Span(NamedTuple):
    """Entries that lie together in the file: numbers ``first`` to ``last`` - 1 of the index."""

    first: int
    last: int
    start: int
    end: int


class Index:
    """Sequence, place and calls of each entry, in the order of sequences from the cursor on."""

    def __init__(self) -> None:
        self.sequences = array("Q")
        self.offsets = array("Q")
        self.sizes = array("I")
        self.calls = array("I")
        self.waiting_calls = 0
        self._first = 0
        self._next = 0
        self._mark = -1
        self._is_sorted = True

    @property
    def waiting(self) -> int:
        """How many entries are behind the mark."""
        return len(self.sequences) - self._first

    def check(self, sequences: list[int]) -> None:
        """See that these sequences may follow.

        Raises:
            ValueError: when one is not behind the mark and what was read.
        """
        floor = self.sequences[self._next - 1] if self._next > self._first else self._mark
        if sequences and min(sequences) <= floor:
            raise ValueError(f"the entry {min(sequences)} comes too late: {floor} is passed")

    def extend(self, sequences: list[int], calls: list[int], start: int, sizes: list[int]) -> None:
        """Add entries that lie in the file one after the other from ``start`` on."""
        last = self.sequences[-1] if self.sequences else -1
        self._is_sorted &= all(map(le, [last, *sequences], sequences))
        self.sequences.extend(sequences)
        self.offsets.extend(islice(accumulate(sizes, initial=start), len(sizes)))
        self.sizes.extend(sizes)
        self.calls.extend(calls)
        self.waiting_calls += sum(calls)

    def mark(self, sequence: int) -> bool:
        """Leave out what is up to ``sequence``; return whether that is more than before."""
        if sequence <= self._mark:
            return False
        self._sort()
        self._mark = sequence
        first, sequences = self._first, self.sequences
        while first < len(sequences) and sequences[first] <= sequence:
            self.waiting_calls -= self.calls[first]
            first += 1
        self._first, self._next = first, max(first, self._next)
        if first >= _COMPACT_AT and 2 * first >= len(sequences):
            self._compact()
        return True

    def rewind(self) -> None:
        """Put the cursor behind the mark."""
        self._next = self._first

    def take(self, most_entries: int, most_bytes: int) -> range:
        """Move the cursor over the next entries, at least one if there is any; return them."""
        self._sort()
        first = last = self._next
        end = min(len(self.sequences), first + max(1, most_entries))
        taken = 0
        while last < end and (last == first or taken + self.sizes[last] <= most_bytes):
            taken += self.sizes[last]
            last += 1
        self._next = last
        return range(first, last)

    def put_back(self, numbers: range) -> None:
        """Move the cursor back in front of these entries, which were taken last."""
        self._next = numbers.start

    def spans(self, numbers: range) -> Iterator[Span]:
        """Yield how to read these entries in few pieces."""
        first, start, end = numbers.start, 0, 0
        for number in numbers:
            offset, size = self.offsets[number], self.sizes[number]
            if number == first:
                start = offset
            elif not end <= offset <= end + _MOST_GAP_BYTES or offset - start > _MOST_SPAN_BYTES:
                yield Span(first, number, start, end)
                first, start = number, offset
            end = offset + size
        if numbers:
            yield Span(first, numbers.stop, start, end)

    def remove(self, numbers: Iterable[int]) -> int:
        """Take out entries that the cursor has passed; return how many calls they carried."""
        calls = 0
        for number in sorted(numbers, reverse=True):
            calls += self.calls[number]
            for column in self._columns():
                del column[number]
            self._next -= 1
        self.waiting_calls -= calls
        return calls

    def _columns(self) -> tuple[array[int], ...]:
        return self.sequences, self.offsets, self.sizes, self.calls

    def _compact(self) -> None:
        for column in self._columns():
            del column[: self._first]
        self._next -= self._first
        self._first = 0

    def _sort(self) -> None:
        """Bring what is behind the cursor into the order of sequences."""
        if self._is_sorted:
            return
        begin = self._next
        order = sorted(range(begin, len(self.sequences)), key=self.sequences.__getitem__)
        for column in self._columns():
            column[begin:] = array(column.typecode, [column[number] for number in order])
        self._is_sorted = True
