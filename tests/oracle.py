"""The plain reference fold: what the whole path, run over a log, must come to.

Written against DESIGN.md alone, one record after the other, with fastavro and dictionaries. It
shares nothing with the consumer: whether a record is valid is the strict reference's word, its
values are fastavro's own (logical types included), and the rules are read from the ``.avsc`` files.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from typing import Any, Protocol

import fastavro

import sessionfold_schemas as contract

State = dict[str, Any]
"""A session's state by column name, in the columns' order, with the offset beside each value."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Record(Protocol):
    """What the log holds, as far as the fold reads it (``tests.services.topics.StoredRecord``)."""

    @property
    def partition(self) -> int:
        """The partition it lies in."""

    @property
    def offset(self) -> int:
        """Its place there."""

    @property
    def key(self) -> bytes | None:
        """The key's bytes; None is Kafka's null."""

    @property
    def value(self) -> bytes | None:
        """The value's bytes; None is Kafka's null."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """The fold of a log: states by session ID and partition, refusals by partition and offset."""

    states: dict[tuple[str, int], State]
    refused: dict[tuple[int, int], str]


def fold(records: Iterable[Record]) -> Result:
    """Fold records, given in any order, in the order of the log."""
    result = Result(states={}, refused={})
    for record in sorted(records, key=lambda record: (record.partition, record.offset)):
        try:
            contract.decode(record.value, key=record.key)
        except contract.InvalidRecordError as error:
            result.refused[record.partition, record.offset] = error.reason
        else:
            _apply(result.states, record, _event(record.value or b""))
    return result


def ordered(states: dict[tuple[str, int], State]) -> list[State]:
    """Return states in the order of every store: session ID by bytes, then partition."""
    return [states[key] for key in sorted(states, key=lambda key: (key[0].encode(), key[1]))]


def _apply(states: dict[tuple[str, int], State], record: Record, event: dict[str, Any]) -> None:
    key = (event["session_id"], record.partition)
    state = states.get(key)
    if state is None:
        state = states[key] = _new(*key, record.offset, event)
    state["last_offset"] = record.offset
    state["event_count"] += 1
    state["last_occurred_at"] = event["occurred_at"]
    state["lost_before"] += event["lost_before"]
    for name, rule in _rules().items():
        if event.get(name) is not None and (rule == "last" or state[name] is None):
            state[name] = event[name]
            state[f"{name}_offset"] = record.offset


def _new(session_id: str, partition: int, offset: int, event: dict[str, Any]) -> State:
    head = {
        "session_id": session_id,
        "partition": partition,
        "first_offset": offset,
        "last_offset": offset,
        "event_count": 0,
        "first_occurred_at": event["occurred_at"],
        "last_occurred_at": event["occurred_at"],
        "lost_before": 0,
    }
    return head | {column: None for name in _rules() for column in (name, f"{name}_offset")}


def _event(value: bytes) -> dict[str, Any]:
    """Return a valid record's event as fastavro reads it, with plain numbers."""
    schema = _schemas()[value[2:10]]
    event: dict[str, Any] = fastavro.schemaless_reader(io.BytesIO(value[10:]), schema, None)  # type: ignore[assignment]
    for name, given in event.items():
        if isinstance(given, datetime):
            event[name] = (given - _EPOCH) // _MICROSECOND
        elif isinstance(given, float):
            event[name] = given + 0.0  # -0.0 becomes 0.0
    return event


@cache
def _rules() -> dict[str, str]:
    """Return the current contract's state fields, in its order, each with ``last`` or ``first``."""
    text = resources.files("sessionfold_schemas").joinpath("session_updated.avsc").read_text()
    folds = {field["name"]: field["fold"] for field in json.loads(text)["fields"]}
    return {name: fold for name, fold in folds.items() if fold in ("last", "first")}


@cache
def _schemas() -> dict[bytes, Any]:
    """Return each published writer schema, parsed, by the fingerprint on the wire."""
    return {
        each.fingerprint: fastavro.parse_schema(dict(each.avro_schema))
        for each in contract.published()
    }
