"""The columnar decoder gives what the strict reference gives, on every input."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sessionfold_schemas as contract
from benchmarks.garbage import mutated
from benchmarks.workload import Workload
from sessionfold_consumer.decode import Events, _merged, decode
from sessionfold_consumer.fields import Column, read_fields, texts_of
from sessionfold_consumer.records import RecordBatch
from sessionfold_consumer.walk import Walk
from tests.strategies import (
    FIELDS,
    KeyAndValue,
    any_records,
    batch_of,
    encoded,
    encoded_texts,
    good_records,
    hostile_pieces,
    hostile_records,
    key_of,
    stored,
    varint,
    with_piece,
    written,
)

FIELDS_BY_NAME = {field.name: field for field in FIELDS}

EVENT = {
    "session_id": "é-1",
    "occurred_at": 1_760_000_000_000_000,
    "producer_id": "worker-7",
    "sequence": 300,
    "lost_before": 2,
    "session_name": "Support",
    "task": "",
    "session_eval": -0.0,
    "is_finished": False,
    "started_at": -1,
    "tags": ["urgent", "", "é"],
}


@given(st.lists(any_records, max_size=12))
def test_a_batch_is_judged_as_the_reference_judges_each_record(
    records: list[KeyAndValue],
) -> None:
    """Verdict, reason and values are the reference's, whatever the neighbours are."""
    assert by_columns(records) == [by_reference(*record) for record in records]


@settings(max_examples=300)
@given(hostile_records(), good_records())
def test_a_hostile_record_does_not_spoil_its_neighbours(
    hostile: KeyAndValue, good: KeyAndValue
) -> None:
    """A record that claims bytes beyond its own is refused; those before and after it stand."""
    before, verdict, after = by_columns([good, hostile, good])
    assert before == after == by_reference(*good)
    assert verdict == by_reference(*hostile)


@given(good_records())
def test_every_good_record_is_accepted(record: tuple[bytes, bytes]) -> None:
    """Without this, a decoder that refused everything could pass where all records are bad."""
    assert isinstance(by_columns([record])[0], dict)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: str(field.name))
def test_each_field_is_read_as_strictly_as_the_reference_reads_it(field: contract.Field) -> None:
    """At every bound: long varints, huge and negative lengths, union indexes, bad UTF-8, NaN."""
    records = [with_piece(EVENT, field, piece) for piece in hostile_pieces(field)]
    verdicts = [by_reference(*record) for record in records]
    assert by_columns(records) == verdicts
    assert [by_columns([record])[0] for record in records] == verdicts
    assert {type(verdict) for verdict in verdicts} == {dict, str}


@pytest.mark.parametrize("size", [1, 7, 8, 9, 15, 16, 17, 32, 511, 512])
def test_a_key_that_differs_in_one_byte_is_none(size: int) -> None:
    """Wherever that is, and when it is longer or shorter by one; the others of the batch stand."""
    session_id = "x" * size
    value = contract.encode({**EVENT, "session_id": session_id})
    right = session_id.encode()
    keys = [right[:at] + b"y" + right[at + 1 :] for at in range(size)]
    verdicts = by_columns([(key, value) for key in (right, *keys, right + b"x", right[:-1], right)])
    assert isinstance(verdicts[0], dict)
    assert verdicts[0] == verdicts[-1]
    assert all(isinstance(each, str) and "key_mismatch" in each for each in verdicts[1:-1])


def test_texts_that_only_together_are_one_are_none() -> None:
    """The first half of a character ends a text, and the next one begins with the second half."""
    task = next(field for field in FIELDS if field.name == "task")
    halves = [b"\2" + varint(2) + half for half in (b"a\xc3", b"\xa9b")]
    verdicts = by_columns([with_piece(EVENT, task, half) for half in halves])
    assert all(isinstance(each, str) and "UnicodeDecodeError" in each for each in verdicts)


def test_a_record_cut_in_two_is_two_bad_records() -> None:
    """At each place: what lies right behind the cut is not read as the record's own."""
    value = contract.encode(EVENT)
    key = key_of(EVENT)
    for place in range(len(value)):
        records = [(key, value[:place]), (key, value[place:]), (key, value)]
        first, second, third = by_columns(records)
        assert (first, second) == (by_reference(*records[0]), by_reference(*records[1]))
        assert isinstance(third, dict)
        assert not isinstance(first, dict)


@pytest.mark.parametrize("count", [20_000, pytest.param(2_000_000, marks=pytest.mark.soak)])
def test_mutated_records_are_refused_for_the_references_reasons(count: int) -> None:
    """Word for word, though the reference is only asked where the walk cannot tell."""
    chance = random.Random(count)
    good = Workload(events=count, sessions=count // 10).records()
    tagged = ((key, with_tags(value) if chance.random() < 0.1 else value) for key, value in good)
    records = ((key, mutated(chance, value)) for key, value in tagged)
    while some := list(islice(records, 10_000)):
        assert by_columns(some) == [by_reference(*record) for record in some]


def test_values_are_plain_and_canonical() -> None:
    """-0.0 is 0.0, an empty text is a value, a time before 1970 keeps its microseconds."""
    (found,) = by_columns([(key_of(EVENT), contract.encode(EVENT))])
    plain = EVENT | {"session_eval": 0.0}
    assert found == {name: repr(value) for name, value in plain.items()}


def test_every_bit_of_a_record_may_flip() -> None:
    """One batch of all single-bit errors of one record is judged as the reference judges each."""
    value = contract.encode(EVENT)
    flipped = [int.from_bytes(value, "big") ^ 1 << bit for bit in range(8 * len(value))]
    records = [(key_of(EVENT), number.to_bytes(len(value), "big")) for number in flipped]
    verdicts = by_columns(records)
    assert verdicts == [by_reference(*record) for record in records]
    assert any(isinstance(verdict, dict) for verdict in verdicts)


@pytest.mark.parametrize("size", [contract.MAX_RECORD_BYTES, contract.MAX_RECORD_BYTES + 1])
def test_the_size_limit_is_the_references(size: int) -> None:
    """A record of exactly the limit is read, one byte more is not."""
    task = FIELDS_BY_NAME["task"]
    spare = size - len(with_piece(EVENT, task, encoded(task, "x" * 100_000))[1]) + 100_000
    record = with_piece(EVENT, task, encoded(task, "x" * spare))
    assert len(record[1]) == size
    (verdict,) = by_columns([record])
    assert verdict == by_reference(*record)
    assert isinstance(verdict, dict) is (size == contract.MAX_RECORD_BYTES)


def test_a_batch_without_a_known_record_is_refused_as_a_whole() -> None:
    """Unknown writers, registry framing and foreign bytes: no column, no event, each its reason."""
    value = contract.encode(EVENT)
    records: list[KeyAndValue] = [
        (b"a", value[:2] + bytes(8) + value[10:]),
        (b"a", b"\0" + bytes(4) + value[10:]),
        (b"a", value[10:]),
        (None, None),
    ]
    events = decode(batch(records))
    assert (events.accepted.tolist(), events.columns) == ([], {})
    reasons = ["unknown_schema", "not_single_object", "not_single_object", "empty_value"]
    assert [each.reason for each in events.refused] == reasons


def test_an_empty_batch_has_no_events() -> None:
    """Nothing comes of nothing."""
    assert by_columns([]) == []


def test_a_refusal_says_where_and_why() -> None:
    """What an operator reads is the reference's own sentence."""
    (refused,) = decode(batch([(b"other", contract.encode(EVENT))])).refused
    assert (refused.place, refused.reason) == (0, "key_mismatch")
    assert refused.detail == "the record's key is 5 bytes long and other than the session ID"


@pytest.mark.parametrize("count", [0, 1, contract.MAX_ITEMS])
def test_a_list_of_any_length_is_read(count: int) -> None:
    """Lists of several lengths are neighbours, and none takes another's texts; none is a value."""
    lists = [["é" * number] * number for number in (count, 3, 0)]
    events = [EVENT | {"tags": tags} for tags in lists]
    verdicts = by_columns([(key_of(event), contract.encode(event)) for event in events])
    assert [verdict["tags"] for verdict in verdicts if isinstance(verdict, dict)] == [
        *map(repr, lists)
    ]


def test_a_list_that_claims_more_than_a_record_can_hold_costs_nothing() -> None:
    """Neither as many rounds nor as much memory as it claims; its neighbours stand."""
    tags = FIELDS_BY_NAME["tags"]
    claims = [contract.MAX_ITEMS + 1, 1 << 20, 1 << 31, (1 << 63) - 1]
    records = [with_piece(EVENT, tags, b"\2" + varint(claim) + b"\2a\0") for claim in claims]
    longest = with_piece(EVENT, tags, b"\2" + encoded_texts(*[b""] * 1_000_000))
    good = (key_of(EVENT), contract.encode(EVENT))
    before, *refused, after = by_columns([good, *records, longest, good])
    assert before == after == by_reference(*good)
    assert refused == [by_reference(*record) for record in [*records, longest]]
    assert refused[-1] == "invalid_value: tags has 1000000 items; at most 64 are allowed"


def test_a_field_of_which_every_value_is_damaged_accepts_none() -> None:
    """Values that decode but break a rule are never in a column."""
    field = FIELDS_BY_NAME["session_eval"]
    records = [with_piece(EVENT, field, encoded(field, value)) for value in (float("nan"), 1.0)]
    events = decode(batch(records))
    assert events.column("session_eval").places.tolist() == [1]
    assert [each.place for each in events.refused] == [0]


@pytest.mark.parametrize("sizes", [[2], [1, 2, 3], range(1, 40), [2, 5_000]], ids=str)
@pytest.mark.parametrize(
    "texts",
    [[b"a\xc3", b"\xa9b"], [b"\xa9b"], [b"a\xc3"], [b"a\0"], [b"\xff\xff"], ["é".encode()] * 2, []],
    ids=repr,
)
def test_texts_are_judged_one_by_one(sizes: Sequence[int], texts: list[bytes]) -> None:
    """Whatever sizes their neighbours have; two halves of a character are no text each."""
    task = FIELDS_BY_NAME["task"]
    pieces = [b"x" * size for size in sizes]
    pieces[1:1] = texts
    records = [with_piece(EVENT, task, b"\2" + varint(len(each)) + each) for each in pieces]
    verdicts = by_columns(records)
    assert verdicts == [by_reference(*record) for record in records]
    wrong = len(texts) if texts != ["é".encode()] * 2 else 0
    assert [isinstance(each, str) for each in verdicts].count(True) == wrong


def test_writers_of_several_versions_share_a_batch() -> None:
    """Each record is read with its writer's schema; columns are in the order of the batch."""
    new = contract.current()
    old = without(new, "task")
    bodies = {
        writer.fingerprint: b"".join(encoded(each, EVENT.get(each.name)) for each in writer.fields)
        for writer in (old, new)
    }
    values = [contract.frame(writer, bodies[writer.fingerprint]) for writer in (old, new, old)]
    walk = Walk(values)
    columns = _merged([read_fields(walk, writer) for writer in (old, new)])
    assert walk.valid.tolist() == [True, True, True]
    assert columns["task"].places.tolist() == [1]
    assert columns["started_at"].places.tolist() == [0, 1, 2]
    starts, ends = columns["session_name"].values, columns["session_name"].ends
    assert ends is not None
    names = [walk.joined[start:end] for start, end in zip(starts, ends, strict=True)]
    assert names == [b"Support"] * 3


def test_a_batch_of_all_published_versions_is_judged_as_each_record_is() -> None:
    """Workers are upgraded one after the other; each record is read by its writer's version."""
    records = [(key_of(EVENT), written(EVENT, each)) for each in contract.published()] * 2
    verdicts = by_columns(records)
    assert verdicts == [by_reference(*record) for record in records]
    assert [isinstance(each, dict) and "tags" in each for each in verdicts] == [False, True] * 2


def by_reference(key: bytes | None, value: bytes | None) -> dict[str, str] | str:
    """Return a record's given values (as text, so that 0.0, -0.0, 0 and False differ) or reason."""
    try:
        _, event = contract.decode(value, key=key)
    except contract.InvalidRecordError as error:
        return f"{error.reason}: {error.detail}"
    return {name: repr(value) for name, value in event.items() if value is not None}


def by_columns(records: Sequence[KeyAndValue]) -> list[dict[str, str] | str]:
    """Return the same from the columnar decoder, for each record of one batch."""
    events = decode(batch(records))
    found: dict[int, dict[str, str] | str] = {place: {} for place in events.accepted.tolist()}
    for name, field in FIELDS_BY_NAME.items():
        for place, value in values(events, field, events.column(name)):
            event = found[place]
            assert isinstance(event, dict)
            event[name] = repr(value)
    for refused in events.refused:
        assert refused.place not in found
        found[refused.place] = f"{refused.reason}: {refused.detail}"
    return [found[place] for place in range(len(records))]


def values(events: Events, field: contract.Field, column: Column) -> list[tuple[int, object]]:
    """Return a column's places and values as Python objects."""
    places, given_values = column.places.tolist(), column.values.tolist()
    if column.ends is not None:
        spans = zip(given_values, column.ends.tolist(), strict=True)
        found = [events.joined[start:end] for start, end in spans]
        given_values = [texts_of(x) if field.type == "strings" else x.decode() for x in found]
    return list(zip(places, given_values, strict=True))


def batch(records: Sequence[KeyAndValue]) -> RecordBatch:
    """Return records of one partition as a batch."""
    return batch_of([stored(0, offset, *record) for offset, record in enumerate(records)])


def with_tags(value: bytes) -> bytes:
    """Return a record with tags of its session, which was written without."""
    body = value.removesuffix(b"\0")
    return body + b"\2" + encoded_texts(b"urgent", "é".encode(), value[-20:-15].hex().encode())


def without(version: contract.Contract, name: str) -> contract.Contract:
    """Return a version of the contract as it was before a field was added."""
    schema = dict(version.avro_schema)
    schema["fields"] = [entry for entry in schema["fields"] if entry["name"] != name]
    fields = tuple(field for field in version.fields if field.name != name)
    return contract.Contract(version=0, fields=fields, avro_schema=schema)
