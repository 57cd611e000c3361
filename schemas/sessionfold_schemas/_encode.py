"""The encoder, specialised to the contract.

Avro's binary encoding (specification 1.12, "Binary encoding") of one fixed record is a fixed row of
small pieces, so the encoder is Python source written out once from the ``.avsc`` and compiled: no
schema is walked while a worker waits. Its bytes equal fastavro's; a property test holds it to that.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from ._contract import Contract, Field, current
from ._values import MAX_TIMESTAMP, MIN_TIMESTAMP, session_id_problem, text_problem
from ._wire import MAGIC
from .errors import InvalidEventError

Encoder = Callable[..., bytes]

_GROUP_BITS = 14
_SHORT = 1024
_INT = (-(1 << 31), (1 << 31) - 1)
_LONG = (-(1 << 63), (1 << 63) - 1)


def encode(event: Mapping[str, Any]) -> bytes:
    """Encode one event of the current contract as a record's value, with its header.

    Args:
        event: every field that is not optional, and the optional ones that are given; None and
            absent are the same. Timestamps are integer microseconds since the epoch.

    Raises:
        InvalidEventError: when a field is unknown, missing, of the wrong type or breaks a value
            rule.
    """
    contract = current()
    names = {field.name for field in contract.fields}
    for name in event:
        if name not in names:
            raise InvalidEventError(name, "is not a field of the contract")
    values = [_checked(field, event.get(field.name)) for field in contract.fields]
    return encoder()(event_prefix(event[contract.key.name]), *values[1:])


def event_prefix(session_id: str) -> bytes:
    """Return header and encoded session ID: the bytes every event of a session starts with."""
    return MAGIC + current().fingerprint + text_bytes(session_id)


def text_bytes(text: str) -> bytes:
    """Encode a string as Avro does: its length in UTF-8 bytes as a varint, then the bytes."""
    data = text.encode()
    return _varint(len(data)) + data


@cache
def encoder() -> Encoder:
    """Return the compiled encoder of the current contract.

    It is called as ``encode(prefix, *values)`` with :func:`event_prefix` of the session and the
    other fields' values in the contract's order; strings of fields that are not optional are given
    encoded (:func:`text_bytes`), since they seldom change. Nothing is validated: the caller has.
    """
    namespace: dict[str, Any] = {
        "groups": _groups(),
        "short": [b"\x02" + _varint(size) for size in range(_SHORT)],
        "small": [_varint(value) for value in range(_SHORT)],
        "varint": _varint,
        "base128": _base128,
        "double": struct.Struct("<Bd").pack,
        "plain_double": struct.Struct("<d").pack,
        "high": {},
    }
    # The source is made of the contract's own field names, which are Avro names (identifiers).
    exec(compile(_source(current()), "<encoder of SessionUpdated>", "exec"), namespace)  # noqa: S102
    return namespace["encode"]  # type: ignore[no-any-return]


def _source(contract: Contract) -> str:
    fields = contract.fields[1:]
    names = ", ".join(field.name for field in fields)
    lines = [f"def encode(prefix, {names}):"]
    for field in fields:
        lines.extend(f"    {line}" for line in _field_source(field))
    lines.append(f"    return b''.join((prefix, {names}))")
    return "\n".join(lines)


def _field_source(field: Field) -> list[str]:
    body = [line.replace("@", field.name) for line in _VALUE_SOURCE[field.type, field.optional]]
    if not field.optional:
        return body
    head = [f"if {field.name} is None:", f"    {field.name} = b'\\0'", "else:"]
    return head + [f"    {line}" for line in body]


# A timestamp's varint: the two low groups of 14 bits come from a table, the rest changes every two
# minutes and is kept. Only non-negative zigzag values of at least three groups can take that path.
_TIMESTAMP = [
    "zigzag = @ << 1",
    "if zigzag < 268435456:",
    "    @ = UNION varint(@)",
    "else:",
    "    rest = high.get(zigzag >> 28)",
    "    if rest is None:",
    "        high.clear()",
    "        rest = high[zigzag >> 28] = base128(zigzag >> 28)",
    "    @ = UNION groups[zigzag & 16383] + groups[zigzag >> 14 & 16383] + rest",
]
_NUMBER = ["@ = UNION (small[@] if 0 <= @ < 1024 else varint(@))"]
_VALUE_SOURCE: dict[tuple[str, bool], list[str]] = {
    ("string", False): [],
    ("string", True): [
        "@ = @.encode()",
        "size = len(@)",
        "@ = (short[size] if size < 1024 else b'\\2' + varint(size)) + @",
    ],
    ("boolean", False): ["@ = b'\\1' if @ else b'\\0'"],
    ("boolean", True): ["@ = b'\\2\\1' if @ else b'\\2\\0'"],
    ("double", False): ["@ = plain_double(@)"],
    ("double", True): ["@ = double(2, @)"],
}
for _type, _lines in (("timestamp", _TIMESTAMP), ("long", _NUMBER), ("int", _NUMBER)):
    _VALUE_SOURCE[_type, False] = [line.replace("UNION ", "") for line in _lines]
    _VALUE_SOURCE[_type, True] = [line.replace("UNION", "b'\\2' +") for line in _lines]


def _varint(value: int) -> bytes:
    """Encode a signed integer of up to 64 bits as Avro does: zigzag, then base 128."""
    return _base128((value << 1) ^ (value >> 63))


def _base128(rest: int) -> bytes:
    """Encode a non-negative integer 7 bits a byte, least first; all but the last have bit 8 set."""
    out = bytearray()
    while rest > 127:  # noqa: PLR2004 - seven bits
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


def _groups() -> list[bytes]:
    return [bytes((group & 127 | 128, group >> 7 | 128)) for group in range(1 << _GROUP_BITS)]


def _checked(field: Field, value: Any) -> Any:  # noqa: ANN401 - any Avro value
    if value is None:
        if not field.optional:
            raise InvalidEventError(field.name, "is missing; this field is always given")
        return None
    problem = _CHECKS[field.type](value)
    if field.fold == "key" and problem is None:
        problem = session_id_problem(value)
    if problem is not None:
        raise InvalidEventError(field.name, problem)
    if field.type == "double":
        return value + 0.0  # -0.0 becomes 0.0
    return text_bytes(value) if field.type == "string" and not field.optional else value


def _check_text(value: Any) -> str | None:  # noqa: ANN401
    if not isinstance(value, str):
        return f"is {type(value).__name__}; str is needed"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "holds a lone surrogate, which UTF-8 cannot carry"
    return text_problem(value)


def _check_double(value: Any) -> str | None:  # noqa: ANN401
    if not isinstance(value, float) or not math.isfinite(value):
        return f"is {value!r}; a finite float is needed"
    return None


def _check_boolean(value: Any) -> str | None:  # noqa: ANN401
    return None if isinstance(value, bool) else f"is {type(value).__name__}; bool is needed"


def _check_integer(least: int, greatest: int) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:  # noqa: ANN401
        if type(value) is int and least <= value <= greatest:
            return None
        return f"is {value!r}; an int from {least} to {greatest} is needed"

    return check


_CHECKS: dict[str, Callable[[Any], str | None]] = {
    "string": _check_text,
    "double": _check_double,
    "boolean": _check_boolean,
    "int": _check_integer(*_INT),
    "long": _check_integer(*_LONG),
    "timestamp": _check_integer(MIN_TIMESTAMP, MAX_TIMESTAMP),
}
