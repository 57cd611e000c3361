"""A batch of records, decoded by columns.

All records of a batch are walked together, field by field: one numpy operation reads the same field
of every record. A cursor per record stands where its next field begins; a record that breaks a rule
is marked and its cursor parked at its end, so that no record is read beyond its own bytes and none
is judged by its neighbours.

The verdict equals that of ``sessionfold_schemas.decode``, the strict reference: property tests hold
the two together on generated, mutated and truncated bytes. The reference also says why a record is
refused. The encoding is Avro's (specification 1.12, "Binary encoding"), in its one canonical form:
the shortest varints, a union index of one byte, nothing after the last field.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

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
    InvalidRecordError,
    current,
    published,
    session_id_problem,
    text_problem,
)
from sessionfold_schemas import decode as decode_strictly

from .records import RecordBatch

Places = NDArray[np.int64]
"""Indices of records in the batch, ascending."""

_PADDING = bytes(16)
"""Behind the last record: a cursor stands at most at its record's end, and no single read (header,
varint, double) takes more than 10 bytes, so none leaves the buffer."""

_NEGATIVE_ZERO = -(1 << 63)
"""The bits of -0.0, as a signed integer."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A record that is not a valid event: its place in the batch, and why."""

    place: int
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Events:
    """The valid events of a batch, by columns.

    ``accepted`` are their places; each column's places are among them. ``columns`` has the fields
    of the current contract that are state or are folded otherwise, by name; a field that no event
    gives has an empty column or none.
    """

    batch: RecordBatch
    joined: bytes
    accepted: Places
    columns: dict[str, Column]
    refused: list[Refused]


def decode(batch: RecordBatch) -> Events:
    """Decode and validate every record of a batch. Pure; never raises for what a record holds."""
    values = _given(batch.values)
    walk = _Walk(values)
    columns = _merged([_decode_with(walk, contract) for contract in published()])
    walk.valid &= walk.known
    _check_keys(walk, batch, values, columns)
    accepted = np.flatnonzero(walk.valid)
    if len(accepted) < len(values):
        columns = {name: column.only(walk.valid[column.places]) for name, column in columns.items()}
    return Events(
        batch=batch,
        joined=walk.joined,
        accepted=accepted,
        columns=columns,
        refused=[_refused(batch, place) for place in np.flatnonzero(~walk.valid).tolist()],
    )


def _given(parts: list[bytes | None]) -> list[bytes]:
    """Return keys or values with no bytes in the place of null; nearly always there is none."""
    return cast("list[bytes]", parts) if all(parts) else [part or b"" for part in parts]


class _Walk:
    """The state of one walk over a batch's bytes: cursors, ends and verdicts, one per record."""

    def __init__(self, values: list[bytes]) -> None:
        self.joined = b"".join((*values, _PADDING))
        self.data = np.frombuffer(self.joined, np.uint8)
        self.signed = self.data.view(np.int8)
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        self.end = np.cumsum(lengths)
        self.start = self.end - lengths
        self.cursor = self.start + HEADER_BYTES
        self.known = np.zeros(len(values), bool)
        self.valid = (lengths >= HEADER_BYTES) & (lengths <= MAX_RECORD_BYTES)

    def written_with(self, contract: Contract) -> Places:
        """Return the records that start with this contract's header, and mark them known."""
        header = np.frombuffer(MAGIC + contract.fingerprint, np.uint8)
        same = self.valid.copy()
        for position, byte in enumerate(header):
            same &= self.data[self.start + position] == byte
        self.known |= same
        return np.flatnonzero(same)

    def refuse(self, places: Places) -> None:
        """Mark records as invalid and park their cursors."""
        self.valid[places] = False
        self.cursor[places] = self.end[places]

    def advance(self, places: Places, cursor: Places) -> None:
        """Move cursors on; a record whose cursor would pass its end is refused."""
        self.cursor[places] = cursor
        beyond = cursor > self.end[places]
        if beyond.any():
            self.refuse(places[beyond])

    def varint(self, places: Places) -> NDArray[np.int64]:
        """Read one zigzag varint at each cursor and move on.

        Refused are varints of more than 64 bits and longer ones than needed.
        """
        cursor = self.cursor[places]
        byte = self.data[cursor]
        raw = (byte & 0x7F).astype(np.uint64)
        cursor += 1
        going = np.flatnonzero(byte >= 0x80)  # noqa: PLR2004 - the continuation bit
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
        self.advance(places, cursor)
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
            self.refuse(places[wrong])
        given: Places = places[branch == 2]  # noqa: PLR2004
        return given


def _decode_with(walk: _Walk, contract: Contract) -> dict[str, Column]:
    places = walk.written_with(contract)
    columns = {}
    if len(places):
        for field in contract.fields:
            given = walk.present(places) if field.optional else places
            column = _READERS[field.type](walk, given)
            _check_values(walk, field, column)
            if field.name in _wanted():
                columns[field.name] = column
        unread = walk.cursor[places] != walk.end[places]
        if unread.any():
            walk.refuse(places[unread])
    return columns


@cache
def _wanted() -> frozenset[str]:
    return frozenset(field.name for field in current().fields if field.fold != "none")


def _read_text(walk: _Walk, places: Places) -> Column:
    length = walk.varint(places)
    negative = length < 0
    if negative.any():
        walk.refuse(places[negative])
        length[negative] = 0
    start = walk.cursor[places]
    # A length near 2^63 would wrap around: no text is longer than its record's rest.
    rest = walk.end[places] - start
    walk.advance(places, start + np.minimum(length, rest + 1))
    return Column(places=places, values=start, ends=walk.cursor[places])


def _read_integer(walk: _Walk, places: Places) -> Column:
    return Column(places=places, values=walk.varint(places))


def _read_double(walk: _Walk, places: Places) -> Column:
    cursor = walk.cursor[places]
    bits = walk.data[cursor[:, None] + np.arange(8)].view("<i8")[:, 0]
    walk.advance(places, cursor + 8)
    # -0.0 becomes 0.0 as bits: arithmetic on a signalling NaN would warn.
    bits[bits == _NEGATIVE_ZERO] = 0
    return Column(places=places, values=bits.view("<f8"))


def _read_boolean(walk: _Walk, places: Places) -> Column:
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


def _check_values(walk: _Walk, field: Field, column: Column) -> None:
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


def _check_texts(walk: _Walk, column: Column) -> None:
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
    wrong = [
        place
        for place, start, end in zip(
            column.places[suspects].tolist(),
            column.values[suspects].tolist(),
            column.ends[suspects].tolist(),
            strict=True,
        )
        if not _is_text(walk.joined[start:end])
    ]
    if wrong:
        walk.refuse(np.array(wrong))


def _is_text(data: bytes) -> bool:
    try:
        return text_problem(data.decode()) is None
    except UnicodeDecodeError:
        return False


def _check_keys(
    walk: _Walk, batch: RecordBatch, values: list[bytes], columns: dict[str, Column]
) -> None:
    """Refuse records whose key is not the session ID, or whose session ID is not allowed."""
    column = columns.get(current().key.name)
    if column is None:
        return
    assert column.ends is not None  # noqa: S101 - a string column
    places = column.places
    keys = _given(batch.keys)
    keys = keys if len(places) == len(keys) else [keys[p] for p in places.tolist()]
    bodies = values if len(places) == len(values) else [values[p] for p in places.tolist()]
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    begins = (column.values - walk.start[places]).tolist()
    same = np.fromiter(map(bytes.startswith, bodies, keys, begins), bool, len(keys))
    same &= lengths == column.ends - column.values
    bad_ids = {key for key in set(keys) if not _is_session_id(key)}
    if bad_ids:
        same &= ~np.fromiter(map(bad_ids.__contains__, keys), bool, len(keys))
    walk.refuse(places[~same])


def _is_session_id(key: bytes) -> bool:
    try:
        return session_id_problem(key.decode()) is None
    except UnicodeDecodeError:
        return False


def _merged(parts: Iterable[dict[str, Column]]) -> dict[str, Column]:
    """Put the columns of several writers' versions together, in the order of places."""
    filled = [part for part in parts if part]
    if len(filled) == 1:
        return filled[0]
    names = dict.fromkeys(name for part in filled for name in part)
    return {name: _concatenated([part[name] for part in filled if name in part]) for name in names}


def _concatenated(columns: list[Column]) -> Column:
    ends = [column.ends for column in columns if column.ends is not None]
    whole = Column(
        places=np.concatenate([column.places for column in columns]),
        values=np.concatenate([column.values for column in columns]),
        ends=np.concatenate(ends) if ends else None,
    )
    return whole.only(np.argsort(whole.places, kind="stable"))


def _refused(batch: RecordBatch, place: int) -> Refused:
    """Ask the reference why; it is slow, and refused records are rare."""
    try:
        decode_strictly(batch.values[place], key=batch.keys[place])
    except InvalidRecordError as error:
        return Refused(place=place, reason=error.reason, detail=error.detail)
    return Refused(
        place=place,
        reason="decoders_disagree",
        detail="a defect, please report it: the reference decoder accepts this record",
    )
