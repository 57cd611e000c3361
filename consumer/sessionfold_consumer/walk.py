"""A walk over the joined bytes of a batch, field by field, all records at once.

A cursor per record stands where its next field begins; a record that breaks a rule is marked and
its cursor parked at its end, so that no record is read beyond its own bytes and none is judged by
its neighbours.

The encoding is Avro's (specification 1.12, "Binary encoding"), in its one canonical form: the
shortest varints, a union index of one byte, nothing after the last field.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sessionfold_schemas import (
    HEADER_BYTES,
    MAGIC,
    MAX_INT,
    MAX_RECORD_BYTES,
    MAX_TIMESTAMP,
    MIN_INT,
    MIN_TIMESTAMP,
    Contract,
    Field,
    text_problem,
)

Places = NDArray[np.int64]
"""Indices of records in the batch, ascending."""

_PADDING = bytes(16)
"""Behind the last record: a cursor stands at most at its record's end, and no single read (header,
varint, double) takes more than 10 bytes, so none leaves the buffer."""

_NEGATIVE_ZERO = -(1 << 63)
"""The bits of -0.0, as a signed integer."""


class Fault(IntEnum):
    """What ends the decoding of a record's body, whatever would follow: the first such fault.

    ``UNTOLD`` is all else: what another decoder may pass over, to fail at a later field, or not.
    """

    UNTOLD = 0
    CUT = 1
    """A field is longer than the rest of the record, or of a negative length."""
    NO_BRANCH = 2
    """A union has no type of this index."""
    NO_TEXT = 3
    """A text is not UTF-8."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """The given values of one field: ``values[i]`` belongs to the record at ``places[i]``.

    For strings the values are where the text begins in the batch's joined bytes, and ``ends`` says
    where each ends; for all other types ``ends`` is None.
    """

    places: Places
    values: NDArray[Any]
    ends: Places | None = None

    def only(self, chosen: NDArray[Any]) -> Column:
        """Return the column with the chosen values (a mask, or indices)."""
        ends = None if self.ends is None else self.ends[chosen]
        return Column(places=self.places[chosen], values=self.values[chosen], ends=ends)


def read_fields(walk: Walk, contract: Contract) -> dict[str, Column]:
    """Walk over the records that were written with ``contract``; return its fields' columns.

    A column may hold values of records that were refused after it was read. Of the value rules all
    are held here but the session ID's. Empty when the batch has no such record.
    """
    places = walk.written_with(contract)
    columns: dict[str, Column] = {}
    if not len(places):
        return columns
    for field in contract.fields:
        given = walk.present(places) if field.optional else places
        columns[field.name] = _READERS[field.type](walk, given)
        _check_values(walk, field, columns[field.name])
    unread = walk.cursor[places] != walk.end[places]
    if unread.any():
        walk.refuse(places[unread])
    return columns


class Walk:
    """The state of one walk over a batch's bytes: cursors, ends and verdicts, one per record."""

    def __init__(self, values: list[bytes]) -> None:
        self.values = values
        self.joined = b"".join((*values, _PADDING))
        self.data = np.frombuffer(self.joined, np.uint8)
        self.signed = self.data.view(np.int8)
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        self.end = np.cumsum(lengths)
        self.start = self.end - lengths
        self.cursor = self.start + HEADER_BYTES
        self.known = np.zeros(len(values), bool)
        self.valid = (lengths >= HEADER_BYTES) & (lengths <= MAX_RECORD_BYTES)
        self.faults = np.zeros(len(values), np.uint8)

    def written_with(self, contract: Contract) -> Places:
        """Return the records that start with this contract's header, and mark them known."""
        header = np.frombuffer(MAGIC + contract.fingerprint, np.uint8)
        same = self.valid.copy()
        for position, byte in enumerate(header):
            same &= self.data[self.start + position] == byte
        self.known |= same
        return np.flatnonzero(same)

    def refuse(self, places: Places, fault: Fault = Fault.UNTOLD) -> None:
        """Mark records as invalid, those that still were valid with this fault; park cursors."""
        self.faults[places[self.valid[places]]] = fault
        self.valid[places] = False
        self.cursor[places] = self.end[places]

    def advance(self, places: Places, cursor: Places, fault: Fault = Fault.CUT) -> None:
        """Move cursors on; a record whose cursor would pass its end is refused."""
        self.cursor[places] = cursor
        beyond = cursor > self.end[places]
        if beyond.any():
            self.refuse(places[beyond], fault)

    def varint(self, places: Places) -> NDArray[np.int64]:
        """Read one zigzag varint at each cursor and move on.

        Refused are varints of more than 64 bits and longer ones than needed.
        """
        cursor = self.cursor[places]
        byte = self.data[cursor]
        raw = (byte & 0x7F).astype(np.uint64)
        cursor += 1
        self.advance(places, cursor)
        going = longer = np.flatnonzero(byte >= 0x80)  # noqa: PLR2004 - the continuation bit
        wrong: list[Places] = []
        shift = 7
        while len(going):
            byte = self.data[cursor[going]]
            raw[going] |= (byte & np.uint64(0x7F)) << np.uint64(shift)
            cursor[going] += 1
            if shift == 63:  # noqa: PLR2004 - one bit is left in the tenth byte
                wrong.append(going[byte != 1])
                break
            wrong.append(going[byte == 0])
            going = going[byte >= 0x80]  # noqa: PLR2004
            shift += 7
        # Decoders differ in what they raise when a record ends within a varint.
        self.advance(places[longer], cursor[longer], Fault.UNTOLD)
        for some in wrong:
            if len(some):
                self.refuse(places[some])
        half: NDArray[np.int64] = (raw >> np.uint64(1)).view(np.int64)
        sign: NDArray[np.int64] = (raw & np.uint64(1)).view(np.int64)
        return np.asarray(half ^ -sign, np.int64)

    def present(self, places: Places) -> Places:
        """Read one union index at each cursor; return the records whose value is not null."""
        cursor = self.cursor[places]
        branch = self.data[cursor]
        self.advance(places, cursor + 1)
        wrong = (branch != 0) & (branch != 2)  # noqa: PLR2004 - zigzag of 1
        if wrong.any():
            # Some decoders take -1 and -2 for the last and the last but one.
            beyond = (branch > 3) & (branch < 0x80)  # noqa: PLR2004 - zigzag of -2, one byte
            self.refuse(places[beyond], Fault.NO_BRANCH)
            self.refuse(places[wrong])
        given: Places = places[branch == 2]  # noqa: PLR2004
        return given


def _read_text(walk: Walk, places: Places) -> Column:
    length = walk.varint(places)
    negative = length < 0
    if negative.any():
        walk.refuse(places[negative], Fault.CUT)
        length[negative] = 0
    start = walk.cursor[places]
    # A length near 2^63 would wrap around: no text is longer than its record's rest.
    rest = walk.end[places] - start
    fits = length <= rest
    walk.advance(places, start + np.minimum(length, rest + 1))
    column = Column(places=places, values=start, ends=walk.cursor[places])
    return column if fits.all() else column.only(fits)


def _read_integer(walk: Walk, places: Places) -> Column:
    return Column(places=places, values=walk.varint(places))


def _read_double(walk: Walk, places: Places) -> Column:
    cursor = walk.cursor[places]
    bits = walk.data[cursor[:, None] + np.arange(8)].view("<i8")[:, 0]
    walk.advance(places, cursor + 8)
    # -0.0 becomes 0.0 as bits: arithmetic on a signalling NaN would warn.
    bits[bits == _NEGATIVE_ZERO] = 0
    return Column(places=places, values=bits.view("<f8"))


def _read_boolean(walk: Walk, places: Places) -> Column:
    cursor = walk.cursor[places]
    byte = walk.data[cursor]
    walk.advance(places, cursor + 1)
    if (byte > 1).any():
        walk.refuse(places[byte > 1])
    return Column(places=places, values=byte == 1)


_READERS = {
    "string": _read_text,
    "long": _read_integer,
    "int": _read_integer,
    "timestamp": _read_integer,
    "double": _read_double,
    "boolean": _read_boolean,
}


def _check_values(walk: Walk, field: Field, column: Column) -> None:
    """Hold the values to the value rules; the session ID's are checked with the keys."""
    values = column.values
    if field.type == "string":
        if field.fold != "key":
            _check_texts(walk, column)
        return
    if field.type == "double":
        wrong = ~np.isfinite(values)
    elif field.type == "timestamp":
        wrong = (values < MIN_TIMESTAMP) | (values > MAX_TIMESTAMP)
    elif field.type == "int":
        wrong = (values < MIN_INT) | (values > MAX_INT)
    else:
        return
    if wrong.any():
        walk.refuse(column.places[wrong])


def _check_texts(walk: Walk, column: Column) -> None:
    """Refuse texts that are not UTF-8 or hold U+0000.

    As signed bytes ASCII is positive, so a text whose least byte is positive needs no second look.
    """
    assert column.ends is not None  # noqa: S101 - a string column
    filled = np.flatnonzero(column.ends > column.values)
    if not len(filled):
        return
    bounds = np.empty(2 * len(filled), np.int64)
    bounds[::2], bounds[1::2] = column.values[filled], column.ends[filled]
    least = np.minimum.reduceat(walk.signed, bounds)[::2]
    suspects = filled[least <= 0]
    starts, ends = column.values[suspects].tolist(), column.ends[suspects].tolist()
    found = [text_fault(walk.joined[start:end]) for start, end in zip(starts, ends, strict=True)]
    for fault in {each for each in found if each is not None}:
        wrong = suspects[[each is fault for each in found]]
        walk.refuse(column.places[wrong], fault)


def text_fault(data: bytes) -> Fault | None:
    """Return what is wrong with a text, or None."""
    try:
        return None if text_problem(data.decode()) is None else Fault.UNTOLD
    except UnicodeDecodeError:
        return Fault.NO_TEXT
