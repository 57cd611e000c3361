"""The contract's fields, read one after the other of all records at once, with their value rules.

A column may hold values of records that were refused after it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sessionfold_schemas import (
    MAX_INT,
    MAX_ITEMS,
    MAX_TIMESTAMP,
    MIN_INT,
    MIN_TIMESTAMP,
    Contract,
    Field,
    text_problem,
)

from . import utf8
from .walk import WORD_BYTES, Fault, Places, Walk, common_sizes, strings, varint_at

_BETWEEN = b"\n" * (utf8.LONGEST_BYTES - 1)
"""Between texts, so that no character lacks bytes in the next one."""
_MANY = 100
"""Of so many strings it is faster to take those of a size together than each by itself."""
_NEGATIVE_ZERO = -(1 << 63)
"""The bits of -0.0, as a signed integer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """The given values of one field: ``values[i]`` belongs to the record at ``places[i]``.

    For ``string`` and ``strings`` the values are where the text, or the encoded list (see
    :func:`texts_of`), begins in the batch's joined bytes, and ``ends`` says where each ends; for
    all other types ``ends`` is None.
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
    if not len(places):
        return {}
    if places is walk.every:
        return _read_every(walk, contract)
    part = walk.part(places)
    columns = _read_every(part, contract)
    walk.take_back(part, places)
    return {name: replace(each, places=places[each.places]) for name, each in columns.items()}


def _read_every(walk: Walk, contract: Contract) -> dict[str, Column]:
    columns: dict[str, Column] = {}
    for is_optional, fields in groupby(contract.fields, attrgetter("optional")):
        if is_optional:
            columns |= _read_optional(walk, [*fields])
        else:
            columns |= {field.name: _read(walk, field, walk.every) for field in fields}
    unread = walk.cursor != walk.end
    if unread.any():
        walk.refuse(np.flatnonzero(unread))
    return columns


def _read_optional(walk: Walk, fields: Sequence[Field]) -> dict[str, Column]:
    """Read optional fields in a row. An event gives few of them: the walk steps over the others."""
    columns: dict[str, Column] = {}
    next_given = walk.pass_nulls(walk.every, len(fields))
    for number, field in enumerate(fields):
        here = np.flatnonzero((next_given == number) & walk.valid)
        if not len(here):
            continue
        columns[field.name] = _read(walk, field, walk.given(here))
        passed = walk.pass_nulls(here, len(fields) - number - 1)
        next_given[here] = number + 1 + passed
    return columns


def _read(walk: Walk, field: Field, places: Places) -> Column:
    column = _READERS[field.type](walk, places)
    _check_values(walk, field, column)
    return column


def _read_text(walk: Walk, places: Places) -> Column:
    length = walk.short_varint(places)
    negative = length < 0
    if negative.any():
        walk.refuse(places[negative], Fault.CUT)
        length[negative] = 0
    start = walk.at(places)
    # A length near 2^63 would wrap around: no text is longer than its record's rest.
    rest = walk.ends(places) - start
    fits = length <= rest
    walk.advance(places, start + np.minimum(length, rest + 1))
    column = Column(places=places, values=start, ends=walk.at(places))
    return column if fits.all() else column.only(fits)


def _read_texts(walk: Walk, places: Places) -> Column:
    """Read lists of texts: one block with its count, unless it is empty, and a 0.

    In each round the next text of all lists that have one is read; ``MAX_ITEMS`` bounds the rounds.
    """
    start = walk.at(places)
    count = walk.short_varint(places)
    # Each item takes a byte at least. What follows a count that is refused decides what is wrong.
    wrong = (count < 0) | (count > MAX_ITEMS) | (count > walk.ends(places) - walk.at(places))
    if wrong.any():
        walk.refuse(places[wrong])
        count[wrong] = 0
    for done in range(int(count.max(initial=0))):
        _check_texts(walk, _read_text(walk, places[count > done]))
    _read_end_of_list(walk, places[count > 0])
    return Column(places=places, values=start, ends=walk.at(places))


def _read_end_of_list(walk: Walk, places: Places) -> None:
    """Read the 0 behind a list's only block; another block would be another form of the list."""
    cursor = walk.at(places)
    walk.advance(places, cursor + 1)
    wrong = walk.data[cursor] != 0
    if wrong.any():
        walk.refuse(places[wrong])


def _read_integer(walk: Walk, places: Places) -> Column:
    return Column(places=places, values=walk.varint(places))


def _read_double(walk: Walk, places: Places) -> Column:
    cursor = walk.at(places)
    bits = walk.words[cursor].view("<i8")
    walk.advance(places, cursor + WORD_BYTES)
    # -0.0 becomes 0.0 as bits: arithmetic on a signalling NaN would warn.
    bits[bits == _NEGATIVE_ZERO] = 0
    return Column(places=places, values=bits.view("<f8"))


def _read_boolean(walk: Walk, places: Places) -> Column:
    cursor = walk.at(places)
    byte = walk.data[cursor]
    walk.advance(places, cursor + 1)
    if (byte > 1).any():
        walk.refuse(places[byte > 1])
    return Column(places=places, values=byte == 1)


_READERS = {
    "string": _read_text,
    "strings": _read_texts,
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
    sizes = column.ends - column.values
    is_unseen = sizes > 0
    suspects: list[Places] = []
    suspected: list[bytes] = []
    for size, places in common_sizes(sizes):
        is_unseen[places] = False
        texts = strings(walk.joined, column.values[places], size)
        if not _are_texts_of_size(texts, size):
            found = _suspects(texts, size)
            suspects.append(column.places[places[found]])
            suspected += texts[found].tolist()
    unseen = np.flatnonzero(is_unseen)
    if len(unseen):
        rest = column.only(unseen[_least_bytes(walk, column.only(unseen)) <= 0])
        suspects.append(rest.places)
        suspected += pieces(walk.joined, rest)
    if suspected:
        _look_twice(walk, np.concatenate(suspects), suspected)


def _least_bytes(walk: Walk, column: Column) -> NDArray[np.int8]:
    """Return the least byte of each text, none of which is empty."""
    assert column.ends is not None  # noqa: S101 - a string column
    bounds = np.empty((len(column.values), 2), np.int64)
    bounds[:, 0], bounds[:, 1] = column.values, column.ends
    least: NDArray[np.int8] = np.minimum.reduceat(walk.signed, bounds.ravel())[::2]
    return least


def _are_texts_of_size(texts: NDArray[np.void], size: int) -> bool:
    """Say whether all are UTF-8 without U+0000: the whole is, and no character goes over an end."""
    if texts.view(np.int8).min() > 0:
        return True
    # RFC 3629: of more than one byte, all but the first are 10xxxxxx.
    continues = (texts.view(np.uint8)[::size] & 0xC0) == 0x80  # noqa: PLR2004
    return not continues.any() and _is_text(texts.tobytes())


def _suspects(texts: NDArray[np.void], size: int) -> NDArray[np.int64]:
    """Return the places of texts of one size that are more than ASCII, or all if that is much."""
    is_other = texts.view(np.int8) <= 0
    if np.count_nonzero(is_other) > len(texts):
        return np.arange(len(texts))
    return np.unique(np.flatnonzero(is_other) // size)


def _look_twice(walk: Walk, places: Places, texts: list[bytes]) -> None:
    """Refuse the records at these places whose texts are none, and note why."""
    joined = _BETWEEN.join([*texts, b""])
    if text_fault(joined) is None:
        return
    ends = np.cumsum(np.fromiter(map(len, texts), np.int64, len(texts)) + len(_BETWEEN))
    nulls = np.flatnonzero(np.frombuffer(joined, np.uint8) == 0)
    for fault, at in ((Fault.NO_TEXT, utf8.breaks(joined)), (Fault.UNTOLD, nulls)):
        walk.refuse(places[np.unique(np.searchsorted(ends, at, side="right"))], fault)


def pieces(joined: bytes, column: Column) -> list[bytes]:
    """Return the bytes of each of a column's strings."""
    if len(column.places) < _MANY:
        return _cut(joined, column)
    assert column.ends is not None  # noqa: S101 - a string column
    sizes = column.ends - column.values
    found = np.empty(len(sizes), object)
    is_left = np.ones(len(sizes), bool)
    for size, places in common_sizes(sizes):
        found[places] = strings(joined, column.values[places], size).tolist()
        is_left[places] = False
    left = np.flatnonzero(is_left)
    found[left] = _cut(joined, column.only(left))
    return list(found.tolist())


def _cut(joined: bytes, column: Column) -> list[bytes]:
    assert column.ends is not None  # noqa: S101 - a string column
    spans = zip(column.values.tolist(), column.ends.tolist(), strict=True)
    return [joined[start:end] for start, end in spans]


def texts_of(encoded: bytes) -> list[str]:
    """Return the texts of an encoded list that was accepted."""
    count, at = varint_at(encoded, 0)
    texts = []
    for _ in range(count):
        size, at = varint_at(encoded, at)
        texts.append(encoded[at : at + size].decode())
        at += size
    return texts


def _is_text(data: bytes) -> bool:
    return text_fault(data) is None


def text_fault(data: bytes) -> Fault | None:
    """Return what is wrong with a text, or None."""
    try:
        return None if text_problem(data.decode()) is None else Fault.UNTOLD
    except UnicodeDecodeError:
        return Fault.NO_TEXT
