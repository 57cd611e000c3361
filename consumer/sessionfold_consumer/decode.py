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
from itertools import count
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
    unknown_fingerprint,
)
from sessionfold_schemas import decode as decode_strictly

from .columnar import Columnar
from .fields import Column, pieces, read_fields, text_fault
from .records import RecordBatch, session_of
from .walk import Fault, Places, Walk, common_sizes, strings

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

    ``accepted`` are their places. ``columns`` are as they were read, by the fields' names: they may
    hold values of refused records, too, which :meth:`column` leaves out. ``sessions`` has for every
    record, valid or not, the number of its key, whose bytes are in ``session_ids``.
    """

    batch: RecordBatch
    joined: bytes
    accepted: Places
    columns: dict[str, Column]
    refused: Columnar[Refused]
    sessions: NDArray[np.int64]
    session_ids: list[bytes]

    def column(self, name: str) -> Column:
        """Return the values that valid events give a field."""
        if name not in self.columns:
            nothing = np.zeros(0, np.int64)
            return Column(places=nothing, values=nothing, ends=nothing)
        column = self.columns[name]
        return column.only(np.isin(column.places, self.accepted, assume_unique=True))


def decode(batch: RecordBatch) -> Events:
    """Decode and validate every record of a batch. Pure; never raises for what a record holds."""
    walk = _walk(batch.values)
    columns = _merged([read_fields(walk, contract) for contract in reversed(published())])
    walk.refuse_unknown()
    sessions, session_ids = _numbered(batch.keys)
    _check_keys(walk, sessions, session_ids, columns)
    return Events(
        batch=batch,
        joined=walk.joined,
        accepted=np.flatnonzero(walk.valid),
        columns=columns,
        refused=_refusals(walk, batch),
        sessions=sessions,
        session_ids=session_ids,
    )


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
    walk: Walk, sessions: NDArray[np.int64], session_ids: list[bytes], columns: dict[str, Column]
) -> None:
    """Refuse records whose key is not the session ID, or whose session ID is not allowed."""
    column = columns.get(current().key.name)
    if column is None:
        return
    same = np.zeros(len(sessions), bool)
    same[column.places] = _are_keys(walk, column, sessions[column.places], session_ids)
    bad = _bad(session_ids)
    if bad.any():
        same &= ~bad[sessions]
    if same.all():
        return
    whole = walk.valid & ~same
    walk.valid &= same
    _note_others_keys(walk, column.only(~same[column.places]), whole)


def _are_keys(
    walk: Walk, column: Column, sessions: NDArray[np.int64], session_ids: list[bytes]
) -> NDArray[np.bool_]:
    """Say of each of a column's session IDs whether it is the key, whose number is given."""
    assert column.ends is not None  # noqa: S101 - a string column
    lengths = np.fromiter(map(len, session_ids), np.int64, len(session_ids))
    joined, starts = b"".join(session_ids), np.cumsum(lengths) - lengths
    sizes = column.ends - column.values
    are_keys: NDArray[np.bool_] = sizes == lengths[sessions]
    is_unseen = are_keys.copy()
    for size, places in common_sizes(sizes):
        is_unseen[places] = False
        same = places[are_keys[places]]
        found = strings(walk.joined, column.values[same], size)
        keys = strings(joined, starts[sessions[same]], size)
        differ = np.flatnonzero(found.view(np.uint8) != keys.view(np.uint8)) // size
        are_keys[same[differ]] = False
    unseen = np.flatnonzero(is_unseen)
    if len(unseen):
        pairs = zip(
            pieces(walk.joined, column.only(unseen)), sessions[unseen].tolist(), strict=True
        )
        are_keys[unseen] = [found == session_ids[session] for found, session in pairs]
    return are_keys


def _bad(session_ids: list[bytes]) -> NDArray[np.bool_]:
    """Say of each whether it is not allowed; mostly all are, and within ASCII."""
    joined = b"".join(session_ids)
    is_printable = joined.isascii() and joined.decode("ascii").isprintable()
    longest = max(map(len, session_ids), default=0)
    if is_printable and longest <= MAX_SESSION_ID_BYTES and all(session_ids):
        return np.zeros(len(session_ids), bool)
    return np.array([session_of(each) is None for each in session_ids])


def _note_others_keys(walk: Walk, column: Column, whole: NDArray[np.bool_]) -> None:
    """Note why records are refused whose session ID is not their key, or is not allowed.

    The walk passed over IDs that are no texts, and they come first. What is ``whole`` breaks no
    other rule; then it is the key, if the ID is allowed.
    """
    for place, session_id in zip(column.places.tolist(), pieces(walk.joined, column), strict=True):
        if text_fault(session_id) == Fault.NO_TEXT:
            walk.faults[place] = Fault.NO_TEXT
        elif whole[place] and session_of(session_id) is not None:
            walk.faults[place] = Fault.OTHER_KEY


def _refusals(walk: Walk, batch: RecordBatch) -> Columnar[Refused]:
    """Say of each refused record why."""
    refused = np.flatnonzero(~walk.valid)
    places, faults = refused.tolist(), walk.faults[refused].tolist()
    reasons: list[str] = ["malformed"] * len(places)
    details: list[str | None] = [*map(_DETAILS.get, faults)]
    for i, detail in enumerate(details):
        if detail is None:
            reasons[i], details[i] = _reason(batch, places[i], faults[i])
    return Columnar(Refused._make, (places, reasons, details))


def _reason(batch: RecordBatch, place: int, fault: int) -> tuple[str, str]:
    """Return the reason and its detail: the reference's, which is asked unless the fault tells."""
    if fault == Fault.OTHER_KEY:
        return "key_mismatch", key_mismatch(batch.keys[place])
    if fault == Fault.NO_SCHEMA:
        value = cast("bytes", batch.values[place])
        return "unknown_schema", unknown_fingerprint(fingerprint_of(value))
    try:
        decode_strictly(batch.values[place], key=batch.keys[place])
    except InvalidRecordError as error:
        return error.reason, error.detail
    return (
        "decoders_disagree",
        "a defect, please report it: the reference decoder accepts this record",
    )
