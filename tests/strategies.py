"""Hypothesis strategies for events, records good and bad, and logs; all shaped by the contract."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random
from typing import Any, Literal

from hypothesis import strategies as st

import sessionfold_schemas as contract
from sessionfold_consumer.records import RecordBatch
from tests.services.topics import StoredRecord

FIELDS = contract.current().fields

Event = dict[str, Any]
KeyAndValue = tuple[bytes | None, bytes | None]
GoodRecord = tuple[bytes, bytes]
Log = list[StoredRecord]
Cut = tuple[Log, list[Log]]

_LONG = (-(1 << 63), (1 << 63) - 1)
_SURROGATES: tuple[Literal["Cs"]] = ("Cs",)
# Lengths on both sides of where a varint grows by a byte.
_LENGTHS = (0, 63, 64, 8191, 8192)

texts = st.one_of(
    st.text(st.characters(exclude_categories=_SURROGATES, exclude_characters="\0"), max_size=20),
    st.sampled_from(_LENGTHS).map("x".__mul__),
)
session_ids = st.one_of(
    st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40),
    st.sampled_from(("a", "é", "🙂" * 128, "x" * contract.MAX_SESSION_ID_BYTES)),
)
few_session_ids = st.sampled_from(("a", "a ", "b", "é", "e\u0301", "\uff41", "🙂"))
"""IDs that meet again, and of which some look alike."""

_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": texts,
    "strings": st.one_of(
        st.lists(texts, max_size=4),
        st.sampled_from((1, contract.MAX_ITEMS - 1, contract.MAX_ITEMS)).map(["é"].__mul__),
    ),
    "long": st.integers(*_LONG),
    "int": st.integers(contract.MIN_INT, contract.MAX_INT),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "timestamp": st.integers(contract.MIN_TIMESTAMP, contract.MAX_TIMESTAMP),
}


def events(ids: st.SearchStrategy[str] = session_ids) -> st.SearchStrategy[Event]:
    """Valid events; a state field that is not given is absent."""
    by_name = {field.name: _VALUES[field.type] for field in FIELDS if field.fold != "key"}
    required = {field.name: by_name[field.name] for field in FIELDS[1:] if not field.optional}
    optional = {field.name: by_name[field.name] for field in FIELDS if field.optional}
    return st.fixed_dictionaries({FIELDS[0].name: ids, **required}, optional=optional)


def good_records(
    ids: st.SearchStrategy[str] = session_ids,
) -> st.SearchStrategy[GoodRecord]:
    """Keys and values of valid events, by writers of every version."""
    versions = st.sampled_from(contract.published())
    return st.tuples(events(ids), versions).map(lambda given: (key_of(given[0]), written(*given)))


def written(event: Event, version: contract.Contract) -> bytes:
    """Encode an event as a writer of ``version`` does, which knows no later fields."""
    if version is contract.current():
        return contract.encode(event)
    pieces = [encoded(field, event.get(field.name)) for field in version.fields]
    return contract.frame(version, b"".join(pieces))


def key_of(event: Event) -> bytes:
    """Return the key that an event's record has."""
    return str(event[FIELDS[0].name]).encode()


@st.composite
def hostile_records(draw: st.DrawFn) -> KeyAndValue:
    """Records of which one field is encoded as it must not be, or just may be."""
    field = draw(st.sampled_from(FIELDS))
    return with_piece(draw(events()), field, draw(st.sampled_from(hostile_pieces(field))))


@st.composite
def randomly_typed_records(draw: st.DrawFn) -> KeyAndValue:
    """Records of which one field is a few random bytes."""
    field = draw(st.sampled_from(FIELDS))
    return with_piece(draw(events()), field, draw(st.binary(max_size=24)))


def with_piece(event: Event, field: contract.Field, piece: bytes) -> GoodRecord:
    """Encode an event with ``piece`` in the place of one field.

    When the field is the session ID, what may be one in ``piece`` is the key, too.
    """
    pieces = [piece if each is field else encoded(each, event.get(each.name)) for each in FIELDS]
    key = piece[len(varint(len(piece))) :] if field.fold == "key" else key_of(event)
    return key, contract.frame(contract.current(), b"".join(pieces))


@st.composite
def mutated_records(draw: st.DrawFn) -> KeyAndValue:
    """Records that were good before some of their bytes were damaged."""
    (key, value), (_, other) = draw(good_records()), draw(good_records())
    return key, mutated(value, other, draw(st.randoms(use_true_random=False)))


@st.composite
def wrongly_keyed_records(draw: st.DrawFn) -> KeyAndValue:
    """Good values under the key of another, none, or nearly their own; also no value at all."""
    key, value = draw(good_records())
    wrong: list[KeyAndValue] = [(None, value), (b"", value), (key, None), (key, b"")]
    wrong += [(key + b"x", value), (key[:-1], value), (key[:-1] + b"\xff", value)]
    return draw(st.sampled_from(wrong))


any_records: st.SearchStrategy[KeyAndValue] = st.one_of(
    good_records(),
    hostile_records(),
    randomly_typed_records(),
    mutated_records(),
    wrongly_keyed_records(),
    st.tuples(st.binary(max_size=8), st.binary(max_size=64)),
)
"""Records as a topic that anyone may write to holds them."""


_RECORDS_OF_FEW: st.SearchStrategy[KeyAndValue] = good_records(few_session_ids)


@st.composite
def logs(draw: st.DrawFn, records: st.SearchStrategy[KeyAndValue] = _RECORDS_OF_FEW) -> Log:
    """A topic's records in the order in which a consumer might receive them.

    Few sessions, each spread over the partitions; offsets have gaps, as after a transaction.
    """
    each = st.tuples(st.integers(0, 2), st.integers(1, 3), records)
    offsets = dict.fromkeys(range(3), draw(st.sampled_from((-1, 41))))
    log = []
    for partition, step, (key, value) in draw(st.lists(each, max_size=30)):
        offsets[partition] += step
        log.append(stored(partition, offsets[partition], key, value))
    return log


mixed_logs = logs(st.one_of(_RECORDS_OF_FEW, any_records))
"""Logs of events of few sessions, with all kinds of other records among them."""


@st.composite
def cuts(draw: st.DrawFn, log: st.SearchStrategy[Log]) -> Cut:
    """A log, and the same cut at some places into batches, of which some may be empty."""
    records = draw(log)
    places = sorted(draw(st.lists(st.integers(0, len(records)), max_size=6)))
    edges = zip([0, *places], [*places, len(records)], strict=True)
    return records, [records[start:end] for start, end in edges]


def stored(partition: int, offset: int, key: bytes | None, value: bytes | None) -> StoredRecord:
    """Return a record of a log, with a timestamp that tells it from others."""
    return StoredRecord(
        partition=partition,
        offset=offset,
        timestamp_ms=1_700_000_000_000 + offset,
        key=key,
        value=value,
    )


def batch_of(records: Sequence[StoredRecord]) -> RecordBatch:
    """Return records as the batch that the source hands over."""
    return RecordBatch(
        partitions=[record.partition for record in records],
        offsets=[record.offset for record in records],
        timestamps=[record.timestamp_ms for record in records],
        keys=[record.key for record in records],
        values=[record.value for record in records],
    )


def mutated(value: bytes, other: bytes, random: Random) -> bytes:
    """Damage a value in one of the ways that disks, networks and wrong programs do.

    Args:
        value: a valid record's value.
        other: another one's, of which parts may be spliced in.
        random: decides.
    """
    place = random.randrange(len(value))
    match random.randrange(7):
        case 0:
            return _flipped(value, random)
        case 1:
            return value[:place]
        case 2:
            return value[:place] + random.randbytes(random.randint(1, 4)) + value[place:]
        case 3:
            return value[:place] + value[place + random.randint(1, 4) :]
        case 4:
            return value[:place] + other[random.randrange(len(other)) :]
        case 5:
            return value[:place] + bytes([random.choice(_TELLING)]) + value[place + 1 :]
        case _:
            return value[:10] + random.randbytes(random.randrange(64))


# The bytes around which varints, unions, booleans and UTF-8 change their meaning.
_TELLING = (0x00, 0x01, 0x02, 0x03, 0x04, 0x7E, 0x7F, 0x80, 0x81, 0xC0, 0xED, 0xF4, 0xFE, 0xFF)


def _flipped(value: bytes, random: Random) -> bytes:
    damaged = bytearray(value)
    for _ in range(random.choice((1, 1, 1, 2, 8))):
        damaged[random.randrange(len(value))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def encoded(field: contract.Field, value: Any) -> bytes:  # noqa: ANN401 - any Avro value
    """Encode one field as Avro does, a null as the first branch of its union."""
    if value is None:
        return b"\0"
    branch = b"\2" if field.optional else b""
    if field.type == "string":
        data: bytes = value.encode()
        return branch + varint(len(data)) + data
    if field.type == "strings":
        return branch + encoded_texts(*[each.encode() for each in value])
    if field.type == "double":
        return branch + struct.pack("<d", value)
    return branch + (bytes([value]) if field.type == "boolean" else varint(value))


def encoded_texts(*texts: bytes) -> bytes:
    """Encode a list of texts, which may be none, as the one block that Avro writes."""
    items = b"".join(varint(len(text)) + text for text in texts)
    return (varint(len(texts)) + items if texts else b"") + b"\0"


def varint(value: int, *, extra_bytes: int = 0) -> bytes:
    """Encode an integer as a zigzag varint, with ``extra_bytes`` more than it needs."""
    rest = (value << 1) if value >= 0 else (-value << 1) - 1
    groups = [rest & 127]
    while rest := rest >> 7:
        groups.append(rest & 127)
    groups += [0] * extra_bytes
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def hostile_pieces(field: contract.Field) -> list[bytes]:
    """Return encodings of one field at, around and beyond the bounds of what is allowed."""
    values = _HOSTILE.get(field.type, _HOSTILE_INTEGERS)
    if not field.optional:
        return values
    good = values[0]
    return [b"\2" + value for value in values] + [branch + good for branch in _HOSTILE_BRANCHES]


_LIMITS = [
    *_LONG,
    contract.MIN_INT,
    contract.MAX_INT,
    contract.MIN_TIMESTAMP,
    contract.MAX_TIMESTAMP,
    *(sign << (7 * size - 1) for size in range(1, 10) for sign in (1, -1)),
]
_BOUNDS = [limit + step for limit in _LIMITS for step in (-1, 0, 1)]
_HOSTILE_INTEGERS = [varint(bound) for bound in (0, *_BOUNDS, -1, -(1 << 64), 1 << 64, 1 << 70)]
_HOSTILE_INTEGERS += [varint(5, extra_bytes=extra) for extra in (1, 2, 8, 9, 10)]
_HOSTILE_INTEGERS += [b"\x80" * size for size in range(1, 12)]
_HOSTILE_INTEGERS += [b"\xff" * 9 + bytes([last]) for last in (0, 1, 2, 0x7F, 0x81)]
_HOSTILE_BRANCHES = [b"\1", b"\3", b"\4", b"\x7f", b"\x80\0", b"\x82\0", b"\xff\xff", b""]
_HOSTILE_BOOLEANS = [bytes([byte]) for byte in (0, 1, 2, 3, 0x7F, 0x80, 0xFF)] + [b""]
_HOSTILE_DOUBLES = [
    struct.pack("<Q", sign << 63 | exponent << 52 | fraction)
    for sign in (0, 1)
    for exponent in (0, 1, 0x7FE, 0x7FF)
    for fraction in (0, 1, 1 << 51, (1 << 52) - 1)
]
_TEXTS = (
    *(b"a", b"", b"a\0b", b"\0", b"\x1f", b"\x7f", b"\xc2\x80", b"\xc2\x9f", b"\xc2\xa0", b"\xff"),
    *(b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\xef\xbf\xbf", b"\x80"),
    *(b"x" * 512, b"x" * 513, "é".encode() * 256, "é".encode() * 257, b"x" * 511 + b"\xc3"),
)
_HOSTILE_TEXTS = [varint(len(text)) + text for text in _TEXTS]
_HOSTILE_TEXTS += [head + b"some text" for head in _HOSTILE_INTEGERS]
_HOSTILE_LISTS = [
    *(encoded_texts(*[b"a"] * count) for count in (0, 1, 2, 63, 64, 65, 300)),
    *(encoded_texts(b"a", text, b"b") for text in _TEXTS),
    *(
        encoded_texts(b"a")[:-1] + end
        for end in (b"\1", b"\2", b"\2\2a\0", b"\1\4\2a\0", b"\x80\0")
    ),
    *(encoded_texts(b"a", b"b", b"c")[:size] for size in range(7)),
    *(varint(-count) + varint(2 * count) + b"\2a" * count + b"\0" for count in (1, 2, 64)),
    *(
        varint(2) + text + head + b"bc\0"
        for text in (b"\2a", b"\2\xff")
        for head in _HOSTILE_INTEGERS
    ),
    *(head + b"\2a\2b\2c\0" for head in _HOSTILE_INTEGERS),
    *(head + b"\2\xff\2b\0" for head in _HOSTILE_INTEGERS),
    *(
        head + b"\0" * 300
        for head in (varint(64), varint(65), varint(299), varint(300), varint(400))
    ),
    # An item that is no text comes before one that is cut off, and the other way round.
    *(varint(2) + items for items in (b"\2\xff\x7e", b"\x7e\2\xff", b"\2\0\1\0", b"\2\xff\1\0")),
]
_HOSTILE = {
    "string": _HOSTILE_TEXTS,
    "strings": _HOSTILE_LISTS,
    "double": _HOSTILE_DOUBLES,
    "boolean": _HOSTILE_BOOLEANS,
}
