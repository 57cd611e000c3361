"""The compiled encoder writes fastavro's bytes, and ``encode`` lets no invalid event through."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sessionfold_schemas as contract
from sessionfold_schemas import _encode
from tests.contract.goldens import fastavro_record
from tests.strategies import FIELDS, Event, events, key_of, texts

VERSION = contract.current().version
OPTIONAL = [field.name for field in FIELDS if field.optional]
LONGEST = (1 << 63) - 1

REQUIRED: Event = {
    "session_id": "s-1",
    "occurred_at": 1_760_000_000_123_456,
    "producer_id": "p-1",
    "sequence": 8_191,
    "lost_before": 0,
}
GIVEN: Event = {
    "session_name": "Support",
    "task": "",
    "session_eval": 0.1,
    "session_eval_reason": "é" * 600,
    "is_successful": True,
    "is_successful_reason": "🙂",
    "is_finished": False,
    "started_at": 1_760_000_000_000_000,
    "ended_at": -1,
    "agent_id": "support",
    "experiment_id": "é" * 511,
    "datasetitem_id": "",
    "tags": ["urgent", "", "é" * 600],
}

INTEGERS = sorted(
    sign * ((1 << bits) + step)
    for bits in (0, 6, 7, 12, 13, 14, 20, 26, 27, 28, 34, 41, 48, 55)
    for step in (-1, 0, 1)
    for sign in (-1, 1)
)
"""Around every power of two at which a varint, or a group of the encoder's, grows."""


def reference(event: Event) -> bytes:
    """Encode with fastavro."""
    return fastavro_record(VERSION, event)


@given(events())
def test_the_bytes_are_fastavros(event: Event) -> None:
    """For any values of any fields."""
    assert contract.encode(event) == reference(event)


@given(events())
def test_what_is_encoded_decodes_to_the_same_event(event: Event) -> None:
    """Round trip; what was not given comes back as None, and -0.0 as 0.0."""
    _, decoded = contract.decode(contract.encode(event), key=key_of(event))
    assert decoded == {field.name: event.get(field.name) for field in FIELDS}
    assert "-0.0" not in {str(value) for value in decoded.values() if isinstance(value, float)}


def test_every_set_of_given_fields_has_an_encoder_that_is_right() -> None:
    """All of up to three fields, and all that lack no more than two."""
    for size in {0, 1, 2, 3, *range(len(OPTIONAL) - 2, len(OPTIONAL) + 1)}:
        for names in itertools.combinations(OPTIONAL, size):
            event = REQUIRED | {name: GIVEN[name] for name in names}
            assert contract.encode(event) == reference(event), names


@pytest.mark.parametrize("field", ["occurred_at", "started_at", "sequence"])
def test_integers_of_every_length_are_right(field: str) -> None:
    """Also behind one another: the encoder keeps the upper part of the last timestamp."""
    low, high = -LONGEST - 1, LONGEST
    if field != "sequence":
        low, high = contract.MIN_TIMESTAMP, contract.MAX_TIMESTAMP
    numbers = [low, *(number for number in INTEGERS if low < number < high), high]
    for number in [*numbers, *reversed(numbers)]:
        event = REQUIRED | {field: number}
        assert contract.encode(event) == reference(event), number


def test_texts_of_every_length_are_right() -> None:
    """Around each length at which its varint, or the encoder's table, ends."""
    for size in (0, 1, 63, 64, 1_023, 1_024, 1_025, 8_191, 8_192, 65_536):
        event = REQUIRED | {"task": "x" * size}
        assert contract.encode(event) == reference(event), size


def test_lists_of_every_length_are_right() -> None:
    """None, some, and around where the count's varint grows by a byte."""
    for size in (0, 1, 2, 63, contract.MAX_ITEMS):
        for items in ([""] * size, ("é",) * size):
            event = REQUIRED | {"tags": items}
            assert contract.encode(event) == reference(REQUIRED | {"tags": list(items)}), size


def test_the_encoder_keeps_one_upper_part_of_a_timestamp() -> None:
    """A process that runs for years must not remember every two minutes of them."""
    for minutes in range(100):
        contract.encode(REQUIRED | {"occurred_at": 1_760_000_000_000_000 + minutes * 60_000_000})
    assert len(_encode._tables()["high"]) == 1


@given(st.integers(contract.MIN_INT, contract.MAX_INT), texts)
def test_the_parts_are_the_whole(sequence: int, task: str) -> None:
    """The SDK's way (prefix and encoder) gives the bytes of ``encode``, in any order of fields."""
    always = (contract.event_prefix("s-1"), 7, contract.text_bytes("p-1"), sequence, 3)
    event = {"session_id": "s-1", "occurred_at": 7, "producer_id": "p-1", "lost_before": 3}
    value = contract.encode(event | {"sequence": sequence, "task": task, "session_name": "n"})
    fields = {"task": task, "session_name": "n"}
    assert contract.encoder(*fields)(*always, fields) == value


def test_none_and_absent_are_the_same() -> None:
    """Null means: not given."""
    assert contract.encode(REQUIRED | {"task": None}) == contract.encode(REQUIRED)


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("colour", "red", "is not a field"),
        ("sequence", None, "is missing"),
        ("session_id", None, "is missing"),
        ("session_id", "", "is 0 bytes long"),
        ("session_id", "x" * 513, "is 513 bytes long"),
        ("session_id", "a\tb", r"control character U\+0009"),
        ("session_id", b"a", "is bytes; str is needed"),
        ("producer_id", "\0", r"holds U\+0000"),
        ("task", "a\0b", r"holds U\+0000"),
        ("task", "\ud800", "lone surrogate"),
        ("task", 7, "is int; str is needed"),
        ("tags", "urgent", "is str; a list of str is needed"),
        ("tags", {"a"}, "is set; a list of str is needed"),
        ("tags", ["a", 7], "item 1 is int; str is needed"),
        ("tags", ["a\0b"], r"item 0 holds U\+0000"),
        ("tags", ["", "\ud800"], "item 1 holds a lone surrogate"),
        ("tags", ["a"] * 65, "has 65 items; at most 64 are allowed"),
        ("session_eval", float("nan"), "a finite float is needed"),
        ("session_eval", float("-inf"), "a finite float is needed"),
        ("session_eval", 1, "a finite float is needed"),
        ("session_eval", True, "a finite float is needed"),
        ("is_successful", 1, "is int; bool is needed"),
        ("is_finished", "yes", "is str; bool is needed"),
        ("sequence", 1 << 63, "an int from"),
        ("sequence", True, "an int from"),
        ("sequence", 1.0, "an int from"),
        ("lost_before", 1 << 31, "an int from"),
        ("occurred_at", contract.MAX_TIMESTAMP + 1, "an int from"),
        ("started_at", contract.MIN_TIMESTAMP - 1, "an int from"),
    ],
)
def test_an_invalid_event_is_refused_with_its_field(field: str, value: Any, problem: str) -> None:  # noqa: ANN401
    """Whatever the decoder would refuse, and what Avro would take for something else."""
    with pytest.raises(contract.InvalidEventError, match=f"^{field}: .*{problem}") as caught:
        contract.encode(REQUIRED | {field: value})
    assert caught.value.field == field


def test_a_record_that_no_one_would_read_is_refused() -> None:
    """The decoder reads at most MAX_RECORD_BYTES; longer is not a valid record."""
    fits = REQUIRED | {"task": "x" * (contract.MAX_RECORD_BYTES - 100)}
    contract.decode(contract.encode(fits), key=b"s-1")
    with pytest.raises(
        contract.InvalidEventError, match=r"^task: makes the event .* at most 1048576"
    ):
        contract.encode(REQUIRED | {"task": "x" * contract.MAX_RECORD_BYTES})


def test_minus_zero_is_written_as_zero() -> None:
    """Two workers that mean the same number publish the same bytes."""
    zero, minus_zero = ({"session_eval": number} for number in (0.0, -0.0))
    assert contract.encode(REQUIRED | minus_zero) == contract.encode(REQUIRED | zero)
