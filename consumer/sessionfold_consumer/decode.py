"""A batch of records, decoded by columns: :mod:`walk` reads the same field of every record at once.

The verdict equals that of ``sessionfold_schemas.decode``, the strict reference: property tests hold
the two together on generated, mutated and truncated bytes. The reference also says why a record is
refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import compress
from typing import TypeVar, cast

import numpy as np

from sessionfold_schemas import InvalidRecordError, current, published, session_id_problem
from sessionfold_schemas import decode as decode_strictly

from .records import RecordBatch
from .walk import Column, Places, Walk, read_fields

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Refused:
    """A record that is not a valid event: its place in the batch, and why."""

    place: int
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Events:
    """The valid events of a batch, by columns.

    ``accepted`` are their places; each column's places are among them. ``columns`` are by the
    fields' names; a field that no event gives has an empty column or none.
    """

    batch: RecordBatch
    joined: bytes
    accepted: Places
    columns: dict[str, Column]
    refused: list[Refused]


def decode(batch: RecordBatch) -> Events:
    """Decode and validate every record of a batch. Pure; never raises for what a record holds."""
    values = _given(batch.values)
    walk = Walk(values)
    columns = _merged([read_fields(walk, contract) for contract in published()])
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
    walk: Walk, batch: RecordBatch, values: list[bytes], columns: dict[str, Column]
) -> None:
    """Refuse records whose key is not the session ID, or whose session ID is not allowed."""
    column = columns.get(current().key.name)
    if column is None:
        return
    assert column.ends is not None  # noqa: S101 - a string column
    places = column.places
    keys = _given(batch.keys)
    keys, bodies = chosen(keys, places), chosen(values, places)
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    begins = (column.values - walk.start[places]).tolist()
    same = np.fromiter(map(bytes.startswith, bodies, keys, begins), bool, len(keys))
    same &= lengths == column.ends - column.values
    bad_ids = {key for key in set(keys) if not _is_session_id(key)}
    if bad_ids:
        same &= ~np.fromiter(map(bad_ids.__contains__, keys), bool, len(keys))
    walk.refuse(places[~same])


def chosen(parts: list[T], places: Places) -> list[T]:
    """Return the parts at these places (ascending); nearly always that is all of them."""
    if len(places) == len(parts):
        return parts
    mask = np.zeros(len(parts), np.uint8)
    mask[places] = 1
    return list(compress(parts, mask.tobytes()))


def _is_session_id(key: bytes) -> bool:
    try:
        return session_id_problem(key.decode()) is None
    except UnicodeDecodeError:
        return False


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
