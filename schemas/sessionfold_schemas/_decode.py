"""The strict decoder of one event: the reference that every faster decoder is held to.

A record is valid when fastavro decodes its body with the writer's schema, encoding the result again
gives the same bytes, and the value rules hold. The second step is what makes it strict: fastavro
alone accepts negative union indexes, over-long varints and trailing bytes.
"""

from __future__ import annotations

import io
import math
from functools import cache
from typing import Any

from ._contract import Contract, Field
from ._values import (
    MAX_INT,
    MAX_TIMESTAMP,
    MIN_INT,
    MIN_TIMESTAMP,
    items_problem,
    session_id_problem,
    text_problem,
)
from ._wire import MAX_RECORD_BYTES, unframe
from .errors import InvalidRecordError


def decode(value: bytes | None, *, key: bytes | None) -> tuple[Contract, dict[str, Any]]:
    """Decode and validate one record.

    Args:
        value: the record's value, as Kafka holds it.
        key: the record's key, which must equal the session ID byte for byte.

    Returns:
        The writer's contract and the event: every field of that contract, None when not given,
        timestamps as integer microseconds, -0.0 as 0.0.

    Raises:
        InvalidRecordError: when the record is not a valid event; ``reason`` says which rule.
    """
    if not value:
        raise InvalidRecordError("empty_value", "the record has no value; an event is never empty")
    if len(value) > MAX_RECORD_BYTES:
        raise InvalidRecordError(
            "too_large",
            f"the value is {len(value)} bytes long; at most {MAX_RECORD_BYTES} are read",
        )
    contract, body = unframe(value)
    event = _decode_body(contract, body)
    for field in contract.fields:
        _check(field, event[field.name])
    _check_key(event[contract.key.name], key)
    return contract, {
        name: 0.0 if value == 0.0 and isinstance(value, float) else value
        for name, value in event.items()
    }


def _decode_body(contract: Contract, body: bytes) -> dict[str, Any]:
    import fastavro

    schema = plain_schema(contract)
    try:
        event = fastavro.schemaless_reader(io.BytesIO(body), schema, None)
        again = io.BytesIO()
        fastavro.schemaless_writer(again, schema, event, strict=True)
    # The bytes are hostile: EOFError, IndexError, ValueError, OverflowError and others were seen.
    except Exception as error:
        raise InvalidRecordError(
            "malformed", f"the body does not decode: {type(error).__name__}"
        ) from error
    if again.getvalue() != body:
        raise InvalidRecordError(
            "not_canonical",
            f"the body of {len(body)} bytes decodes, but its event encodes to other bytes "
            f"({len(again.getvalue())})",
        )
    return event  # type: ignore[return-value]


def _check(field: Field, value: Any) -> None:  # noqa: ANN401 - any Avro value
    problem = _problem(field, value)
    if problem is not None:
        raise InvalidRecordError("invalid_value", f"{field.name} {problem}")


def _problem(field: Field, value: Any) -> str | None:  # noqa: ANN401 - any Avro value
    if value is None:
        return None
    if field.fold == "key":
        return session_id_problem(value)
    if field.type == "string":
        return text_problem(value)
    if field.type == "strings":
        return items_problem(len(value)) or next(filter(None, map(text_problem, value)), None)
    if field.type == "double" and not math.isfinite(value):
        return f"is {value}; only finite numbers are allowed"
    if field.type == "int" and not MIN_INT <= value <= MAX_INT:
        return f"is {value}, which does not fit 32 bits"
    if field.type == "timestamp" and not MIN_TIMESTAMP <= value <= MAX_TIMESTAMP:
        return f"is {value}, outside of the years 1 to 9999"
    return None


def _check_key(session_id: str, key: bytes | None) -> None:
    if key != session_id.encode():
        raise InvalidRecordError("key_mismatch", key_mismatch(key))


def key_mismatch(key: bytes | None) -> str:
    """Say in one clause that a key is not the session ID."""
    found = "null" if key is None else f"{len(key)} bytes long and other"
    return f"the record's key is {found} than the session ID"


@cache
def plain_schema(contract: Contract) -> dict[str, Any]:
    """Return the contract's parsed schema with timestamps as plain longs.

    The bytes are the same; as integers they need no calendar and lose nothing.
    """
    import fastavro

    text = dict(contract.avro_schema)
    text["fields"] = [
        {"name": f["name"], "type": _without_logical_type(f["type"])} for f in text["fields"]
    ]
    return fastavro.parse_schema(text)  # type: ignore[return-value]


def _without_logical_type(avro_type: Any) -> Any:  # noqa: ANN401 - a piece of JSON
    if isinstance(avro_type, list):
        return [_without_logical_type(branch) for branch in avro_type]
    is_logical = isinstance(avro_type, dict) and "logicalType" in avro_type
    return avro_type["type"] if is_logical else avro_type
