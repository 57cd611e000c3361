"""The contract's fields, read one after the other of all records at once, with their value rules.

A column may hold values of records that were refused after it was read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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

from .walk import WORD_BYTES, Fault, Places, Walk, varint_at

_TEXTS_TOGETHER = 16
_MOST_SIZES = 16
_MOST_BYTES = 128
"""Texts of few sizes, and of no great ones, are looked at together with those of the same size."""

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
    columns: dict[str, Column] = {}
    if not len(places):
        return columns
    for is_optional, fields in groupby(contract.fields, attrgetter("optional")):
        if is_optional:
            columns |= _read_optional(walk, places, [*fields])
        else:
            columns |= {field.name: _read(walk, field, places) for field in fields}
    unread = walk.at(places) != walk.ends(places)
    if unread.any():
        walk.refuse(places[unread])
    return columns


def _read_optional(walk: Walk, places: Places, fields: Sequence[Field]) -> dict[str, Column]:
    """Read optional fields in a row. An event gives few of them: the walk steps over the others."""
    columns: dict[str, Column] = {}
    next_given = walk.pass_nulls(places, len(fields))
    for number, field in enumerate(fields):
        here = np.flatnonzero(next_given == number)
        if not len(here):
            continue
        columns[field.name] = _read(walk, field, walk.given(places[here]))
        passed = walk.pass_nulls(places[here], len(fields) - number - 1)
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
    few = _few_sizes(sizes)
    if few is None:
        _look_twice(walk, column.only(_least_bytes(walk, column, sizes) <= 0))
        return
    for size, count in few.items():
        some = column if count == len(sizes) else column.only(sizes == size)
        texts = walk.strings(some.values, size).view(np.uint8)
        if texts.view(np.int8).min() <= 0 and not _are_texts_of_size(texts, size):
            _look_twice(walk, some)


def _few_sizes(sizes: NDArray[np.int64]) -> dict[int, int] | None:
    """Return how many texts there are of each size but 0, or None when there are too many sizes."""
    if sizes.max(initial=0) > _MOST_BYTES:
        return None
    counts = np.bincount(sizes)
    different = np.flatnonzero(counts[1:]) + 1
    if len(different) > _MOST_SIZES:
        return None
    return dict(zip(different.tolist(), counts[different].tolist(), strict=True))


def _least_bytes(walk: Walk, column: Column, sizes: NDArray[np.int64]) -> NDArray[np.int8]:
    """Return the least byte of each text, and 1 of each that is empty."""
    filled = np.flatnonzero(sizes)
    bounds = np.empty((len(filled), 2), np.int64)
    bounds[:, 0] = column.values[filled]
    bounds[:, 1] = bounds[:, 0] + sizes[filled]
    least = np.ones(len(sizes), np.int8)
    least[filled] = np.minimum.reduceat(walk.signed, bounds.ravel())[::2]
    return least


def _are_texts_of_size(texts: NDArray[np.uint8], size: int) -> bool:
    """Say whether all are UTF-8 without U+0000: the whole is, and no character goes over an end."""
    continues = (texts[::size] & 0xC0) == 0x80  # noqa: PLR2004 - RFC 3629: not a character's first
    return not continues.any() and _is_text(texts.tobytes())


def _look_twice(walk: Walk, suspects: Column) -> None:
    """Refuse of these texts those that are none, and note why."""
    texts = pieces(walk.joined, suspects)
    if _are_texts(texts):
        return
    found: list[Fault | None] = []
    for begun in range(0, len(texts), _TEXTS_TOGETHER):
        some = texts[begun : begun + _TEXTS_TOGETHER]
        found += [None] * len(some) if _are_texts(some) else map(text_fault, some)
    for fault in {each for each in found if each is not None}:
        walk.refuse(suspects.places[[each is fault for each in found]], fault)


def pieces(joined: bytes, column: Column) -> list[bytes]:
    """Return the bytes of each of a column's strings."""
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


def _are_texts(parts: list[bytes]) -> bool:
    """Say whether all are UTF-8 without U+0000, at once: no character goes over a line's end."""
    return _is_text(b"\n".join(parts))


def _is_text(data: bytes) -> bool:
    return text_fault(data) is None


def text_fault(data: bytes) -> Fault | None:
    """Return what is wrong with a text, or None."""
    try:
        return None if text_problem(data.decode()) is None else Fault.UNTOLD
    except UnicodeDecodeError:
        return Fault.NO_TEXT
