"""A walk over the joined bytes of records, all at once; :mod:`fields` says over what.

A cursor per record stands where its next field begins; a record that breaks a rule is marked and
its cursor parked at its end, so that no record is read beyond its own bytes and none is judged by
its neighbours.

The encoding is Avro's (specification 1.12, "Binary encoding"), in its one canonical form: the
shortest varints, a union index of one byte, nothing after the last field.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from sessionfold_schemas import (
    HEADER_BYTES,
    MAGIC,
    MAX_RECORD_BYTES,
    Contract,
)

Places = NDArray[np.int64]
"""Indices of records in the batch, ascending."""

_PADDING = bytes(16)
"""Behind the last record: a cursor stands at most at its record's end, and no single read (header,
varint, double) takes more than 10 bytes, so none leaves the buffer."""

WORD_BYTES = 8
_LONGEST_BYTES = 10
"""Of a varint of 64 bits."""
_GREAT_BYTES = 129
"""From this size on, strings are looked at one by one."""
_LEAST_SHARE = 50
"""A size that one of so many strings has is common."""
_PLUS_ONE, _MINUS_TWO = 2, 3
"""As zigzag numbers."""
_TOP_BITS = np.uint64(0x8080808080808080)
_ONE = np.uint64(1)
_PACKING = [
    (np.uint64(0x007F007F007F007F), np.uint64(0x7F007F007F007F00), np.uint64(1)),
    (np.uint64(0x00003FFF00003FFF), np.uint64(0x3FFF00003FFF0000), np.uint64(2)),
    (np.uint64(0x000000000FFFFFFF), np.uint64(0x0FFFFFFF00000000), np.uint64(4)),
]
"""Which bits of a word's neighbours stay, which move, and how far: twice as many each time."""


class Fault(IntEnum):
    """What ends the decoding of a record, whatever would follow: the first such fault.

    ``UNTOLD`` is all else: what another decoder may pass over, to fail at a later field, or not.
    """

    UNTOLD = 0
    CUT = 1
    """A field is longer than the rest of the record, or of a negative length."""
    NO_BRANCH = 2
    """A union has no type of this index."""
    NO_TEXT = 3
    """A text is not UTF-8."""
    OTHER_KEY = 4
    """The session ID is not the record's key; nothing else is wrong."""
    NO_SCHEMA = 5
    """No published contract has the header's fingerprint."""


class Walk:
    """The state of one walk over records' bytes: cursors, ends and verdicts, one per record."""

    def __init__(self, values: Sequence[bytes]) -> None:
        self.joined = b"".join([*values, _PADDING])
        self.data = np.frombuffer(self.joined, np.uint8)
        self.signed = self.data.view(np.int8)
        self.words = words_of(self.joined)
        self.every = np.arange(len(values))
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        self.end = np.cumsum(lengths)
        self.start = self.end - lengths
        self.cursor = self.start + HEADER_BYTES
        self.known = np.zeros(len(values), bool)
        self.valid = (lengths >= HEADER_BYTES) & (lengths <= MAX_RECORD_BYTES)
        self.faults = np.zeros(len(values), np.uint8)

    def written_with(self, contract: Contract) -> Places:
        """Return the records that start with this contract's header, and mark them known."""
        places = self.every if not self.known.any() else np.flatnonzero(~self.known)
        start = self.start if places is self.every else self.start[places]
        header = words_of(MAGIC + contract.fingerprint)
        same = self.valid[places]
        for position in (0, HEADER_BYTES - WORD_BYTES):
            same &= self.words[start + position] == header[position]
        if not same.all():
            places = places[same]
        self.known[places] = True
        return places

    def part(self, places: Places) -> Walk:
        """Return a walk over these records alone, in which their places are 0, 1, and so on.

        All of its records are ``every``, which is faster than to pick them out for each step.
        """
        part = copy(self)
        part.every = np.arange(len(places))
        part.start, part.end = self.start[places], self.end[places]
        part.cursor = part.start + HEADER_BYTES
        part.valid, part.faults = self.valid[places], self.faults[places]
        return part

    def take_back(self, part: Walk, places: Places) -> None:
        """Take over the verdicts of a walk over these records."""
        self.valid[places], self.faults[places] = part.valid, part.faults

    def refuse_unknown(self) -> None:
        """Refuse what no contract has written; to be called when all were asked for."""
        unknown = self.valid & ~self.known
        if unknown.any():
            magic = int.from_bytes(MAGIC, "little")
            framed = unknown & (self.words[self.start] & np.uint64(0xFFFF) == magic)
            self.refuse(np.flatnonzero(framed), Fault.NO_SCHEMA)
            self.refuse(np.flatnonzero(unknown & ~framed))

    def refuse(self, places: Places, fault: Fault = Fault.UNTOLD) -> None:
        """Mark records as invalid, those that still were valid with this fault; park cursors."""
        self.faults[places[self.valid[places]]] = fault
        self.valid[places] = False
        self.cursor[places] = self.end[places]

    def advance(self, places: Places, cursor: Places, fault: Fault = Fault.CUT) -> None:
        """Move cursors on; a record whose cursor would pass its end is refused."""
        self.cursor[slice(None) if places is self.every else places] = cursor
        beyond = cursor > self.ends(places)
        if beyond.any():
            self.refuse(places[beyond], fault)

    def short_varint(self, places: Places) -> NDArray[np.int64]:
        """Read one zigzag varint at each cursor, mostly of one byte, and move on.

        Refused are varints of more than 64 bits and longer ones than needed.
        """
        cursor = self.at(places)
        byte = self.data[cursor]
        raw = byte.astype(np.uint64)
        self.advance(places, cursor + 1)
        longer = np.flatnonzero(byte >= 0x80)  # noqa: PLR2004 - the continuation bit
        if len(longer):
            raw[longer] = self._raw_varint(places[longer], cursor[longer])
        return _from_zigzag(raw)

    def varint(self, places: Places) -> NDArray[np.int64]:
        """Read one zigzag varint at each cursor, as :meth:`short_varint` does, of any size."""
        cursor = self.at(places)
        nothing_left = cursor >= self.ends(places)
        if nothing_left.any():
            self.refuse(places[nothing_left], Fault.CUT)
        return _from_zigzag(self._raw_varint(places, cursor))

    def _raw_varint(self, places: Places, cursor: Places) -> NDArray[np.uint64]:
        """Read varints at these cursors, and move the places' on."""
        word = self.words[cursor]
        stop = ~word & _TOP_BITS
        # All bits up to those of the byte that ends the varint; all 64 when none of the eight does.
        within = stop ^ (stop - _ONE)
        size = np.bitwise_count(within).astype(np.int64) >> 3
        last = within ^ (within >> np.uint64(WORD_BYTES))
        wrong = ((word & last) == 0) & (size > 1)
        raw = _packed(word & within & ~_TOP_BITS)
        for i in np.flatnonzero(stop == 0).tolist():
            raw[i], size[i], wrong[i] = self._any_varint(int(cursor[i]))
        # Decoders differ in what they raise when a record ends within a varint.
        self.advance(places, cursor + size, Fault.UNTOLD)
        if wrong.any():
            self.refuse(places[wrong])
        return raw

    def _any_varint(self, cursor: int) -> tuple[int, int, bool]:
        """Read one varint of any size; return value, size, and whether it is refused."""
        data = self.joined[cursor : cursor + _LONGEST_BYTES]
        ends = (i + 1 for i, byte in enumerate(data) if byte < 0x80)  # noqa: PLR2004
        size = next(ends, _LONGEST_BYTES)
        value = sum((byte & 0x7F) << (7 * i) for i, byte in enumerate(data[:size]))
        # One bit is left in the last byte, and has to be set: a shorter varint would do.
        wrong = data[size - 1] == 0 or (size == _LONGEST_BYTES and data[-1] != 1)
        return value & (2**64 - 1), size, wrong

    def _refuse_branches(
        self, places: Places, cursor: Places, first_byte: NDArray[np.uint8]
    ) -> None:
        """Refuse records whose union index is neither 0 nor 1 in its shortest form.

        Some decoders take -1 and -2 for the last type and the last but one: these are untold.
        """
        beyond = first_byte > _MINUS_TWO
        for i in np.flatnonzero(first_byte >= 0x80).tolist():  # noqa: PLR2004 - the continuation bit
            number, size, _ = self._any_varint(int(cursor[i]))
            is_whole = size < _LONGEST_BYTES and cursor[i] + size <= self.end[places[i]]
            beyond[i] = is_whole and number > _MINUS_TWO
        self.refuse(places[beyond], Fault.NO_BRANCH)
        self.refuse(places[~beyond])

    def at(self, places: Places) -> Places:
        """Return a copy of these records' cursors."""
        return self.cursor.copy() if places is self.every else self.cursor[places]

    def ends(self, places: Places) -> Places:
        """Return where these records end."""
        return self.end if places is self.every else self.end[places]

    def given(self, places: Places) -> Places:
        """Read a union index that is not 0 at each cursor; return the records that it is 1 in."""
        cursor = self.at(places)
        branch = self.data[cursor]
        self.advance(places, cursor + 1)
        is_given = branch == _PLUS_ONE
        if is_given.all():
            return places
        wrong = np.flatnonzero(~is_given)
        # A record that was refused before stands at its end, in front of another's bytes.
        wrong = wrong[self.valid[places[wrong]]]
        self._refuse_branches(places[wrong], cursor[wrong], branch[wrong])
        found: Places = places[is_given]
        return found

    def pass_nulls(self, places: Places, most: int) -> NDArray[np.int64]:
        """Move each cursor over the union indices that are 0, at most so many; return how many.

        Each is a byte. Of a word the lowest bit that is set says how many of them are 0.
        """
        cursor = self.at(places)
        passed = _zeros_below(self.words[cursor])
        for begun in range(WORD_BYTES, most, WORD_BYTES):
            more = np.flatnonzero((passed == begun) & (cursor + begun <= self.ends(places)))
            passed[more] += _zeros_below(self.words[cursor[more] + begun])
        np.minimum(passed, most, out=passed)
        self.advance(places, cursor + passed)
        return passed


def strings(data: bytes, starts: Places, size: int) -> NDArray[np.void]:
    """Return strings of one size, which is not 0: an array of so many bytes each."""
    count = max(0, len(data) - size + 1)
    every = np.ndarray((count,), np.dtype((np.void, size)), data, strides=(1,))
    return every[starts]


def common_sizes(sizes: NDArray[np.int64]) -> Iterator[tuple[int, Places]]:
    """Yield each size that many have, is not 0 and not great, and the places of those.

    What is done with strings of one size together is done faster.
    """
    counts = np.bincount(np.minimum(sizes, _GREAT_BYTES), minlength=_GREAT_BYTES + 1)
    counts[[0, _GREAT_BYTES]] = 0
    for size in np.flatnonzero(counts * _LEAST_SHARE > len(sizes)).tolist():
        yield size, np.flatnonzero(sizes == size)


def _zeros_below(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Return how many of a word's bytes are 0 below the lowest that is not."""
    return np.bitwise_count(~words & (words - _ONE)).astype(np.int64) >> 3


def varint_at(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer of a varint that was accepted, and where the next byte is."""
    raw = shift = 0
    for byte in data[at : at + _LONGEST_BYTES]:
        at += 1
        raw |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            break
    return (raw >> 1) ^ -(raw & 1), at


def words_of(data: bytes) -> NDArray[np.uint64]:
    """Return eight bytes as one little-endian number, for each place where eight bytes begin."""
    size = max(0, len(data) - WORD_BYTES + 1)
    return np.ndarray((size,), "<u8", data, strides=(1,))


def _from_zigzag(raw: NDArray[np.uint64]) -> NDArray[np.int64]:
    half: NDArray[np.int64] = (raw >> _ONE).view(np.int64)
    sign: NDArray[np.int64] = (raw & _ONE).view(np.int64)
    return np.asarray(half ^ -sign, np.int64)


def _packed(groups: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Join the lower seven bits of each byte, the lowest byte first, to one number, in place."""
    for low, high, gap in _PACKING:
        upper = groups & high
        upper >>= gap
        groups &= low
        groups |= upper
    return groups
