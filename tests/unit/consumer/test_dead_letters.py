"""What is kept of a record that is no valid event."""

from __future__ import annotations

from dataclasses import replace

from sessionfold_consumer.commit import prepare
from sessionfold_consumer.records import Headers
from sessionfold_consumer.source import Fetched
from sessionfold_consumer.store import Position
from tests.strategies import batch_of, stored


def test_a_dead_letter_has_all_that_kafka_had() -> None:
    """Its own key, value, headers and timestamp, also after other records were dropped."""
    records = [stored(0, 4, b"before", None), stored(1, 5, b"a", b"b"), stored(1, 6, b"key", None)]
    headers: dict[int, Headers] = {1: [], 2: [("trace", b"\xff"), ("trace", None)]}
    batch = replace(batch_of(records), headers=headers.__getitem__)
    held = Position(partition=1, next_offset=0, owner_epoch=1)
    first, second = prepare(Fetched(batch=batch), {1: held}).dead_letters
    assert (first.partition, first.offset, first.key, first.value) == (1, 5, b"a", b"b")
    assert (first.reason, first.headers) == ("not_single_object", ())
    assert (second.partition, second.offset, second.key, second.value) == (1, 6, b"key", None)
    assert (second.reason, second.headers) == (
        "empty_value",
        (("trace", b"\xff"), ("trace", None)),
    )
    assert second.timestamp == records[2].timestamp_ms
