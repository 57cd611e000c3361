"""The strict decoder, the project's reference, accepts just the records that are valid."""

from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sessionfold_schemas as contract
from tests.contract.goldens import fastavro_record
from tests.strategies import (
    FIELDS,
    Event,
    KeyAndValue,
    any_records,
    encoded,
    events,
    good_records,
    key_of,
    varint,
    with_piece,
    written,
)

CURRENT = contract.current()
BY_NAME = {field.name: field for field in FIELDS}

EVENT: Event = {
    "session_id": "s-1",
    "occurred_at": 1_760_000_000_000_000,
    "producer_id": "p-1",
    "sequence": 300,
    "lost_before": 2,
    "task": "a task",
    "session_eval": 0.5,
    "is_successful": True,
}
VALUE = contract.encode(EVENT)
KEY = b"s-1"


def reason_of(value: bytes | None, key: bytes | None = KEY) -> str:
    """Return why a record is refused."""
    with pytest.raises(contract.InvalidRecordError) as caught:
        contract.decode(value, key=key)
    assert str(caught.value) == f"{caught.value.reason}: {caught.value.detail}"
    return caught.value.reason


def with_bytes(field: str, piece: bytes) -> bytes | None:
    """Return the record of ``EVENT`` with other bytes for one field."""
    return with_piece(EVENT, BY_NAME[field], piece)[1]


@given(events())
def test_fastavros_records_are_read(event: Event) -> None:
    """What fastavro writes with the schema is what this decoder reads."""
    record = fastavro_record(CURRENT.version, event)
    writer, decoded = contract.decode(record, key=key_of(event))
    assert writer is CURRENT
    assert decoded == {field.name: event.get(field.name) for field in FIELDS}


@settings(max_examples=500)
@given(any_records)
def test_what_is_accepted_encodes_to_the_same_bytes(record: KeyAndValue) -> None:
    """The law of the reference: one event, one row of bytes; everything else is refused.

    Only minus zero, which is valid and means zero, is written otherwise.
    """
    key, value = record
    try:
        writer, event = contract.decode(value, key=key)
    except contract.InvalidRecordError:
        return
    minus_zero, zero = encoded_evals(-0.0), encoded_evals(0.0)
    assert value is not None
    again = written(event, writer).replace(minus_zero, zero)
    assert again == value.replace(minus_zero, zero)
    assert event["session_id"].encode() == key


@given(good_records(), st.data())
def test_no_part_of_a_record_is_a_record(record: tuple[bytes, bytes], data: st.DataObject) -> None:
    """Cut anywhere, it is refused."""
    key, value = record
    size = data.draw(st.integers(0, len(value) - 1))
    expected = "empty_value" if size == 0 else "not_single_object" if size < 10 else "malformed"
    assert reason_of(value[:size], key) == expected


@given(good_records(), st.binary(min_size=1, max_size=20))
def test_nothing_may_follow_a_record(record: tuple[bytes, bytes], more: bytes) -> None:
    """The cursor ends exactly at the record's end."""
    key, value = record
    assert reason_of(value + more, key) == "not_canonical"


def test_no_value_is_no_event() -> None:
    """A null value is no delete."""
    assert reason_of(None) == reason_of(b"") == "empty_value"


@pytest.mark.parametrize(
    "value",
    [
        VALUE[10:],  # a bare Avro body: could decode into wrong values
        b"\0\0\0\0\x07" + VALUE[10:],  # a registry's format, which nothing here configures
        b"\xc3\x02" + VALUE[2:],
        b"\xc3",
        VALUE[:9],
        b"Obj\x01",
    ],
)
def test_only_single_object_encoding_is_read(value: bytes) -> None:
    """Anything that does not start with C3 01 and a fingerprint is refused unread."""
    assert reason_of(value) == "not_single_object"


def test_a_schema_that_was_never_published_is_refused() -> None:
    """The reason tells it from damage: a roll-out in the wrong order looks like this."""
    assert reason_of(VALUE[:2] + bytes(8) + VALUE[10:]) == "unknown_schema"


def test_a_huge_value_is_refused_before_it_is_decoded() -> None:
    """Even a valid one: the limit bounds memory."""
    long = EVENT | {"task": "x" * contract.MAX_RECORD_BYTES}
    assert reason_of(fastavro_record(CURRENT.version, long)) == "too_large"


@pytest.mark.parametrize("key", [None, b"", b"s-2", b"s-1 ", b"S-1", b"s-1\0"])
def test_the_key_must_be_the_session_id(key: bytes | None) -> None:
    """Byte for byte: the key decides the partition, and so the order of the session's events."""
    assert reason_of(VALUE, key) == "key_mismatch"


@pytest.mark.parametrize("letters", ["é", "e\u0301", "\uff53-1", "Ⅸ", "a ", " a"])
def test_session_ids_are_never_normalised(letters: str) -> None:
    """IDs that look alike are other sessions."""
    event = EVENT | {"session_id": letters}
    assert contract.decode(contract.encode(event), key=letters.encode())[1]["session_id"] == letters


@pytest.mark.parametrize(
    ("field", "piece", "reason"),
    [
        ("task", b"\x01" + b"\x0ca task", "not_canonical"),  # a union index of -1
        ("task", b"\x04" + b"\x0ca task", "malformed"),  # a union index of 2
        ("task", b"\x82\0" + b"\x0ca task", "not_canonical"),  # the index 1 in two bytes
        ("task", b"\x02" + b"\x8c\0a task", "not_canonical"),  # a length of 6 in two bytes
        ("task", b"\x02" + b"\x0ba task", "malformed"),  # a length of -6
        ("task", b"\x02" + varint(1 << 62), "malformed"),
        ("task", b"\x02\x02\xff", "malformed"),  # not UTF-8
        ("task", b"\x02\x06\xed\xa0\x80", "malformed"),  # a surrogate
        ("task", b"\x02\x04\xc0\x80", "malformed"),  # U+0000, spelt too long
        ("task", b"\x02\x02\0", "invalid_value"),
        ("sequence", b"\xd8\x84\0", "not_canonical"),  # 300 in three bytes
        ("sequence", b"\xff" * 9 + b"\x03", "not_canonical"),  # 65 bits
        ("sequence", b"\xff" * 12, "malformed"),
        ("lost_before", varint(1 << 31), "invalid_value"),
        ("occurred_at", varint(contract.MAX_TIMESTAMP + 1), "invalid_value"),
        ("occurred_at", varint(contract.MIN_TIMESTAMP - 1), "invalid_value"),
        ("is_successful", b"\x02\x02", "not_canonical"),  # a boolean of 2
        ("session_eval", b"\x02" + bytes.fromhex("000000000000f07f"), "invalid_value"),  # infinity
        ("session_eval", b"\x02" + bytes.fromhex("010000000000f07f"), "invalid_value"),  # NaN
    ],
)
def test_what_other_readers_let_pass_is_refused(field: str, piece: bytes, reason: str) -> None:
    """Each in an otherwise good record; fastavro alone accepts many of them."""
    found = reason_of(with_bytes(field, piece))
    assert found in {reason, "malformed"} if reason == "not_canonical" else found == reason


@pytest.mark.parametrize(
    ("session_id", "problem"),
    [(b"", "0 bytes"), (b"a\x7f", "U\\+007F"), ("\x85".encode(), "U\\+0085"), (b"x" * 513, "513")],
)
def test_a_session_id_is_held_to_its_rule(session_id: bytes, problem: str) -> None:
    """Also when the key agrees."""
    key, value = with_piece(EVENT, BY_NAME["session_id"], varint(len(session_id)) + session_id)
    with pytest.raises(contract.InvalidRecordError, match=f"^invalid_value: .*{problem}"):
        contract.decode(value, key=key)


def test_minus_zero_is_read_as_zero() -> None:
    """It is a valid double, and one number has one spelling in the state."""
    value = VALUE.replace(encoded_evals(0.5), encoded_evals(-0.0))
    assert str(contract.decode(value, key=KEY)[1]["session_eval"]) == "0.0"


def test_the_refused_really_pass_with_fastavro_alone() -> None:
    """Why the reference encodes again: without that step, this negative index would be a task."""
    value = with_bytes("task", b"\x01" + b"\x0ca task")
    assert value is not None
    schema: Any = fastavro.parse_schema(CURRENT.avro_schema)
    event = fastavro.schemaless_reader(io.BytesIO(value[10:]), schema, None)
    assert isinstance(event, dict)
    assert event["task"] == "a task"


def test_the_text_of_a_bad_record_is_not_in_the_error() -> None:
    """Errors are logged; what users wrote must not be."""
    value = with_bytes("task", b"\x02" + varint(7) + b"secret\0")
    with pytest.raises(contract.InvalidRecordError) as caught:
        contract.decode(value, key=KEY)
    assert "secret" not in str(caught.value)


def encoded_evals(number: float) -> bytes:
    """Return how ``session_eval`` is encoded, with the given number."""
    return encoded(BY_NAME["session_eval"], number)
