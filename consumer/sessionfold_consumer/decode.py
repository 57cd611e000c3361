"""A batch of records, decoded by columns: the same field of every record is read at once.

The verdict equals that of ``sessionfold_schemas.decode``, the strict reference: property tests hold
the two together on generated, mutated and truncated bytes. The reference also says why a record is
refused, unless the walk met a fault that ends every decoder at the same place: the reference raises
an exception for each refusal, and that costs more than ten good records.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress, count
from operator import eq
from typing import NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from sessionfold_schemas import (
    MAX_SESSION_ID_BYTES,
    InvalidRecordError,
    current,
    fingerprint_of,
    key_mismatch,
    published,
    session_id_problem,
    unknown_fingerprint,
)
from sessionfold_schemas import decode as decode_strictly

from .fields import Column, pieces, read_fields, text_fault
from .records import RecordBatch
from .walk import Fault, Places, Walk

_DETAILS = {
    int(fault): f"the body does not decode: {error.__name__}"
    for fault, error in {
        Fault.CUT: EOFError,
        Fault.NO_BRANCH: IndexError,
        Fault.NO_TEXT: UnicodeDecodeError,
    }.items()
}
"""What the reference says of these faults."""


class Refused(NamedTuple):
    """A record that is not a valid event: its place in the batch, and why."""

    place: int
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Events:
    """The valid events of a batch, by columns.

    ``accepted`` are their places; each column's places are among them. ``columns`` are by the
    fields' names; a field that no event gives has an empty column or none. ``sessions`` has for
    every record, valid or not, the number of its key, whose bytes are in ``session_ids``.
    """

    batch: RecordBatch
    joined: bytes
    accepted: Places
    columns: dict[str, Column]
    refused: list[Refused]
    sessions: NDArray[np.int64]
    session_ids: list[bytes]


def decode(batch: RecordBatch) -> Events:
    """Decode and validate every record of a batch. Pure; never raises for what a record holds."""
    walk = _walk(batch.values)
    columns = _merged([read_fields(walk, contract) for contract in reversed(published())])
    walk.refuse_unknown()
    sessions, session_ids = _numbered(batch.keys)
    _check_keys(walk, batch.keys, _bad(session_ids)[sessions], columns)
    accepted = np.flatnonzero(walk.valid)
    if len(accepted) < len(batch):
        columns = {name: _accepted(walk, column) for name, column in columns.items()}
    return Events(
        batch=batch,
        joined=walk.joined,
        accepted=accepted,
        columns=columns,
        refused=_refusals(walk, batch),
        sessions=sessions,
        session_ids=session_ids,
    )


def _accepted(walk: Walk, column: Column) -> Column:
    """Return the values of records that were not refused."""
    valid = walk.valid[column.places]
    return column if valid.all() else column.only(valid)


def _walk(values: list[bytes | None]) -> Walk:
    """Begin a walk with no bytes in the place of null; nearly always there is none."""
    try:
        return Walk(cast("list[bytes]", values))
    except TypeError:
        return Walk([value or b"" for value in values])


def _numbered(keys: Sequence[bytes | None]) -> tuple[NDArray[np.int64], list[bytes]]:
    """Return a number for each key, and the keys by their numbers, in the order they first come.

    Null is among them as a key without bytes.
    """
    numbers: defaultdict[bytes | None, int] = defaultdict(count().__next__)
    by_key = np.fromiter(map(numbers.__getitem__, keys), np.int64, len(keys))
    return by_key, [key or b"" for key in numbers]


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


def _check_keys(
    walk: Walk, keys: list[bytes | None], bad: NDArray[np.bool_], columns: dict[str, Column]
) -> None:
    """Refuse records whose key is not the session ID, or whose session ID is not allowed."""
    column = columns.get(current().key.name)
    if column is None:
        return
    are_all = len(column.places) == len(keys) and _bytes_of(walk, column) == keys
    same = ~bad if are_all else _are_keys(walk, keys, column) & ~bad
    if same.all():
        return
    whole = walk.valid & ~same
    walk.valid &= same
    _note_others_keys(walk, column.only(~same[column.places]), whole)


def _are_keys(walk: Walk, keys: list[bytes | None], column: Column) -> NDArray[np.bool_]:
    """Say of each record whether its session ID is its key."""
    assert column.ends is not None  # noqa: S101 - a string column
    same = np.zeros(len(keys), bool)
    sizes = column.ends - column.values
    is_common = sizes == np.median(sizes) if len(sizes) else np.zeros(0, bool)
    for some in (column.only(is_common), column.only(~is_common)):
        mask = np.zeros(len(keys), np.uint8)
        mask[some.places] = 1
        found = map(eq, _bytes_of(walk, some), compress(keys, mask.tobytes()))
        same[some.places] = np.fromiter(found, bool, len(some.places))
    return same


def _bytes_of(walk: Walk, column: Column) -> list[bytes]:
    """Return the bytes of each of a column's strings; faster when all are of one size."""
    assert column.ends is not None  # noqa: S101 - a string column
    sizes = column.ends - column.values
    size = int(sizes[0]) if len(sizes) else 0
    if not size or (sizes != size).any():
        return pieces(walk.joined, column)
    found: list[bytes] = walk.strings(column.values, size).tolist()
    return found


def _bad(session_ids: list[bytes]) -> NDArray[np.bool_]:
    """Say of each whether it is not allowed; mostly all are, and within ASCII."""
    joined = b"".join(session_ids)
    is_printable = joined.isascii() and joined.decode("ascii").isprintable()
    longest = max(map(len, session_ids), default=0)
    if is_printable and longest <= MAX_SESSION_ID_BYTES and all(session_ids):
        return np.zeros(len(session_ids), bool)
    return np.array([not _is_session_id(each) for each in session_ids])


def _note_others_keys(walk: Walk, column: Column, whole: NDArray[np.bool_]) -> None:
    """Note why records are refused whose session ID is not their key, or is not allowed.

    The walk passed over IDs that are no texts, and they come first. What is ``whole`` breaks no
    other rule; then it is the key, if the ID is allowed.
    """
    for place, session_id in zip(column.places.tolist(), pieces(walk.joined, column), strict=True):
        if text_fault(session_id) == Fault.NO_TEXT:
            walk.faults[place] = Fault.NO_TEXT
        elif whole[place] and _is_session_id(session_id):
            walk.faults[place] = Fault.OTHER_KEY


def _is_session_id(key: bytes) -> bool:
    try:
        return session_id_problem(key.decode()) is None
    except UnicodeDecodeError:
        return False


def _refusals(walk: Walk, batch: RecordBatch) -> list[Refused]:
    """Say of each refused record why."""
    places = np.flatnonzero(~walk.valid)
    return [
        _told(batch, place, fault) if fault else _refused(batch, place)
        for place, fault in zip(places.tolist(), walk.faults[places].tolist(), strict=True)
    ]


def _told(batch: RecordBatch, place: int, fault: int) -> Refused:
    """Say what the reference would say of a fault."""
    if fault == Fault.OTHER_KEY:
        return Refused(place, "key_mismatch", key_mismatch(batch.keys[place]))
    if fault == Fault.NO_SCHEMA:
        value = cast("bytes", batch.values[place])
        return Refused(place, "unknown_schema", unknown_fingerprint(fingerprint_of(value)))
    return Refused(place, "malformed", _DETAILS[fault])


def _refused(batch: RecordBatch, place: int) -> Refused:
    """Ask the reference why."""
    try:
        decode_strictly(batch.values[place], key=batch.keys[place])
    except InvalidRecordError as error:
        return Refused(place=place, reason=error.reason, detail=error.detail)
    return Refused(
        place=place,
        reason="decoders_disagree",
        detail="a defect, please report it: the reference decoder accepts this record",
    )
