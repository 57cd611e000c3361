"""The records of a journal file, and how they are found again in a damaged one.

Format: records one after the other, each ::

    marker (8 bytes) | kind (1) | length of the body (4) | CRC-32 (4) | body

numbers little-endian. The marker is the beginning of the SHA-256 of the file's name: what users
write can hardly hold it, and a copy under another name is no journal. The CRC is over kind, length
and body. Bodies, by kind:

- header: JSON: what the file is for;
- event: sequence (8) | calls (4) | length of the key (2) | key | value;
- mark: a sequence (8): all events up to it are delivered;
- aside: offset (8) | size (8) of a damaged span that has been set aside.

Where no record begins, the next marker is looked for; what lies between is damage.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from sessionfold_schemas import MAX_RECORD_BYTES

HEADER, EVENT, MARK, ASIDE = 1, 2, 3, 4

FRAME = Struct("<8sBII")
"""What is in front of a body."""

_MARKER_BYTES = 8
_CRC_AT = FRAME.size - 4
_MOST_BODY_BYTES = 2 * MAX_RECORD_BYTES
"""More than the longest event: four texts of the longest that the SDK lets pass."""

_NONE = _MOST_BODY_BYTES + 1
_CHUNK_BYTES = 1024 * 1024
_COVERED = Struct("<BI")
_CRC = Struct("<I")
_COVERED_EVENT = Struct("<BIQIH")
_EVENT = Struct("<QIH")
_SEQUENCE = Struct("<Q")
_SPAN = Struct("<QQ")
_LEAST_BODY_BYTES = {HEADER: 0, EVENT: _EVENT.size, MARK: _SEQUENCE.size, ASIDE: _SPAN.size}

ReadAt = Callable[[int, int], bytes]
"""Returns (size, offset) of the file; fewer bytes at its end only."""


class Entry(NamedTuple):
    """One event on its way to the broker."""

    sequence: int
    """Its number within its producer."""
    calls: int
    """How many accepted calls it carries."""
    key: bytes
    value: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What a journal file is for. Empty texts where a damaged file does not say it."""

    topic: str
    bootstrap_servers: str
    producer_id: str
    behind: tuple[str, ...] = ()
    """Names of spool files that must be gone before this one may be sent."""


class Record(NamedTuple):
    """One undamaged record: where it is, all of it, and its body."""

    kind: int
    offset: int
    size: int
    body: bytes


class Damage(NamedTuple):
    """A span of a file where no record is."""

    offset: int
    size: int


def marker(name: str) -> bytes:
    """Return what each record of the file ``name`` begins with."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:_MARKER_BYTES]


def event_records(mark: bytes, entries: Sequence[Entry]) -> tuple[bytes, list[int]]:
    """Return the records of some entries in one piece, and the size of each.

    Raises:
        ValueError: when an entry is longer than a record can be.
    """
    head, crc, pack, bodiless = _COVERED_EVENT.size, _CRC.pack, _COVERED_EVENT.pack, _COVERED.size
    parts: list[bytes] = []
    sizes: list[int] = []
    for sequence, calls, key, value in entries:
        length = head - bodiless + len(key) + len(value)
        if length > _MOST_BODY_BYTES:
            raise ValueError(f"an event of {length} bytes is longer than a journal takes")
        covered = pack(EVENT, length, sequence, calls, len(key)) + key + value
        parts += mark, covered[:bodiless], crc(crc32(covered)), covered[bodiless:]
        sizes.append(FRAME.size + length)
    return b"".join(parts), sizes


def header_record(mark: bytes, header: Header) -> bytes:
    """Return the record that a file begins with."""
    return _record(mark, HEADER, json.dumps(asdict(header)).encode())


def mark_record(mark: bytes, sequence: int) -> bytes:
    """Return the record that says: everything up to ``sequence`` is delivered."""
    return _record(mark, MARK, _SEQUENCE.pack(sequence))


def aside_record(mark: bytes, damage: Damage) -> bytes:
    """Return the record that says: this damage has been set aside."""
    return _record(mark, ASIDE, _SPAN.pack(*damage))


def _record(mark: bytes, kind: int, body: bytes) -> bytes:
    return FRAME.pack(mark, kind, len(body), _crc(kind, body)) + body


def _crc(kind: int, body: bytes) -> int:
    return crc32(body, crc32(_COVERED.pack(kind, len(body))))


def entry_head(body: bytes) -> tuple[int, int, int]:
    """Return sequence, calls and where the value begins, of an event's body."""
    sequence, calls, key_bytes = _EVENT.unpack_from(body)
    return sequence, calls, _EVENT.size + key_bytes


def entry(body: bytes) -> Entry:
    """Return the entry of an event's body."""
    sequence, calls, value_at = entry_head(body)
    return Entry(sequence, calls, body[_EVENT.size : value_at], body[value_at:])


def read_event(mark: bytes, record: bytes) -> Entry | None:
    """Return the entry of an event's whole record; None when it is damaged."""
    if len(record) <= FRAME.size:
        return None
    found, kind, _, crc = FRAME.unpack_from(record)
    is_whole = crc32(record[FRAME.size :], crc32(record[_MARKER_BYTES:_CRC_AT])) == crc
    return entry(record[FRAME.size :]) if is_whole and kind == EVENT and found == mark else None


def header(body: bytes) -> Header | None:
    """Return the header of a header's body; None when it is not one of this version."""
    try:
        given = json.loads(body)
        texts = [given[name] for name in ("topic", "bootstrap_servers", "producer_id")]
        behind = tuple(given["behind"])
    except (KeyError, TypeError, ValueError):
        return None
    if not all(isinstance(text, str) for text in (*texts, *behind)):
        return None
    topic, servers, producer_id = texts
    return Header(topic=topic, bootstrap_servers=servers, producer_id=producer_id, behind=behind)


def sequence_of_mark(body: bytes) -> int:
    """Return the sequence of a mark's body."""
    sequence: int = _SEQUENCE.unpack_from(body)[0]
    return sequence


def span_of_aside(body: bytes) -> Damage:
    """Return the damage that an aside's body is about."""
    return Damage(*_SPAN.unpack_from(body))


def joined(damages: Iterable[Damage]) -> list[Damage]:
    """Return the same damage in as few spans as a scan would find it."""
    spans: list[Damage] = []
    for damage in sorted(damages):
        if spans and spans[-1].offset + spans[-1].size == damage.offset:
            spans[-1] = Damage(spans[-1].offset, spans[-1].size + damage.size)
        else:
            spans.append(damage)
    return spans


def scan(read_at: ReadAt, mark: bytes, start: int, end: int) -> Iterator[Record | Damage]:
    """Yield what is between two offsets of a file, in order and without gaps.

    Args:
        read_at: reads from the file.
        mark: the file's marker.
        start: where a record begins, if the file is whole.
        end: where to stop; a record that crosses it is damage.
    """
    window = _Window(read_at, mark, end)
    offset, damaged = start, start
    while offset < end:
        record = window.record(offset)
        if record is None:
            offset = window.next_marker(offset + 1)
            continue
        if damaged < offset:
            yield Damage(damaged, offset - damaged)
        yield record
        offset = damaged = offset + record.size
    if damaged < end:
        yield Damage(damaged, end - damaged)


class _Window:
    """The part of a file that is in memory, moved along it."""

    def __init__(self, read_at: ReadAt, mark: bytes, end: int) -> None:
        self._read_at = read_at
        self._mark = mark
        self._end = end
        self._base = 0
        self._data = b""

    def record(self, offset: int) -> Record | None:
        """Return the record that begins at ``offset``; None when none does."""
        at = self._at(offset, FRAME.size)
        if at < 0:
            return None
        found, kind, length, crc = FRAME.unpack_from(self._data, at)
        least = _LEAST_BODY_BYTES.get(kind, _NONE)
        if found != self._mark or not least <= length <= _MOST_BODY_BYTES:
            return None
        size = FRAME.size + length
        at = self._at(offset, size)
        if at < 0:
            return None
        body = self._data[at + FRAME.size : at + size]
        return Record(kind, offset, size, body) if _crc(kind, body) == crc else None

    def next_marker(self, offset: int) -> int:
        """Return where the next marker is, from ``offset`` on; the end when there is none."""
        while (at := self._at(offset, _MARKER_BYTES)) >= 0:
            found = self._data.find(self._mark, at)
            if found >= 0:
                return self._base + found
            offset = self._base + len(self._data) - _MARKER_BYTES + 1
        return self._end

    def _at(self, offset: int, size: int) -> int:
        """Return where in memory ``offset`` is, with ``size`` bytes; -1 behind the end."""
        if offset + size > self._end:
            return -1
        if offset < self._base or offset + size > self._base + len(self._data):
            self._base = offset
            self._data = self._read_at(min(max(size, _CHUNK_BYTES), self._end - offset), offset)
            if len(self._data) < size:
                return -1
        return offset - self._base
