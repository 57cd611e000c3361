"""The encoder, specialised to the contract.

Avro's binary encoding (specification 1.12, "Binary encoding") of one fixed record is a fixed row of
small pieces, so the encoder is Python source written out once from the ``.avsc`` and compiled: no
schema is walked while a worker waits. Its bytes equal fastavro's; a property test holds it to that.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from ._contract import Contract, Field, current
from ._values import (
    MAX_INT,
    MAX_TIMESTAMP,
    MIN_INT,
    MIN_TIMESTAMP,
    items_problem,
    session_id_problem,
    text_problem,
)
from ._wire import MAGIC, MAX_RECORD_BYTES
from .errors import InvalidEventError

Encoder = Callable[..., bytes]

_GROUP_BITS = 14
_SHORT = 1024
_LONG = (-(1 << 63), (1 << 63) - 1)


def encode(event: Mapping[str, Any]) -> bytes:
    """Encode one event of the current contract as a record's value, with its header.

    Args:
        event: every field that is not optional, and the optional ones that are given; None and
            absent are the same. Timestamps are integer microseconds since the epoch.

    Raises:
        InvalidEventError: when a field is unknown, missing, of the wrong type or breaks a value
            rule, or the value would be longer than is read.
    """
    contract = current()
    names = {field.name for field in contract.fields}
    for name in event:
        if name not in names:
            raise InvalidEventError(name, "is not a field of the contract")
    values = {field.name: _checked(field, event.get(field.name)) for field in contract.fields}
    required = [values[name] for name in _required(contract)]
    given = [f.name for f in contract.fields if f.optional and values[f.name] is not None]
    value = encoder(*given)(event_prefix(event[contract.key.name]), *required, values)
    if len(value) > MAX_RECORD_BYTES:
        longest = max(event, key=lambda name: len(str(event[name])))
        raise InvalidEventError(
            longest, f"makes the event {len(value)} bytes long; at most {MAX_RECORD_BYTES} are read"
        )
    return value


def event_prefix(session_id: str) -> bytes:
    """Return header and encoded session ID: the bytes every event of a session starts with."""
    return MAGIC + current().fingerprint + text_bytes(session_id)


def text_bytes(text: str) -> bytes:
    """Encode a string as Avro does: its length in UTF-8 bytes as a varint, then the bytes."""
    data = text.encode()
    return _zigzag_varint(len(data)) + data


def _strings_bytes(texts: Sequence[str]) -> bytes:
    """Encode a list of strings as Avro's arrays: one block with its count, unless empty, and 0."""
    head = [_zigzag_varint(len(texts))] if texts else []
    return b"".join([*head, *map(text_bytes, texts), b"\0"])


@cache
def encoder(*given: str) -> Encoder:
    """Return the compiled encoder of events in which just the optional fields ``given`` are given.

    It is called with :func:`event_prefix` of the session, then the values of the other fields that
    are not optional, in the contract's order, then a mapping with the values of ``given``. Strings
    that are not optional are given encoded (:func:`text_bytes`), since they seldom change. Nothing
    is validated: the caller has.
    """
    # The source is made of the contract's own field names, which are Avro names (identifiers).
    namespace = dict(_tables())
    exec(compile(_source(current(), given), "<encoder of SessionUpdated>", "exec"), namespace)  # noqa: S102
    return namespace["encode"]  # type: ignore[no-any-return]


@cache
def _tables() -> dict[str, Any]:
    """Return what encoders look up."""
    groups = range(1 << _GROUP_BITS)
    last = [_varint(group) for group in groups]
    return {
        "last": last,  # the last group of a varint
        # the lowest group of a doubled value, one that another group follows
        "doubled": [bytes((group & 127 | 128, group >> 7 | 128)) for group in groups[::2]],
        "small": last[::2],
        "text_head": [b"\x02" + _zigzag_varint(size) for size in range(_SHORT)],
        "varint": _varint,
        "zigzag_varint": _zigzag_varint,
        "double": struct.Struct("<d").pack,
        "optional_double": struct.Struct("<Bd").pack,
        "strings": _strings_bytes,
        "high": {},
    }


def _source(contract: Contract, given: tuple[str, ...]) -> str:
    lines: list[str] = []
    pieces = ["prefix"]
    for field in contract.fields[1:]:
        if field.optional and field.name not in given:
            _add_null(pieces)
            continue
        code, result = _VALUE_SOURCE[field.type, field.optional]
        if field.optional:
            lines.append(f"{field.name} = fields[{field.name!r}]")
        lines.extend(line.replace("@", field.name) for line in code)
        pieces.append(result.replace("@", field.name))
    head = f"def encode({', '.join(['prefix', *_required(contract), 'fields'])}):"
    return "\n    ".join([head, *lines, f"return b''.join(({', '.join(pieces)}))"])


def _required(contract: Contract) -> list[str]:
    return [field.name for field in contract.fields[1:] if not field.optional]


def _add_null(pieces: list[str]) -> None:
    if pieces[-1].startswith("b'\\0"):
        pieces[-1] = pieces[-1][:-1] + "\\0'"
    else:
        pieces.append("b'\\0'")


# A varint is put together from groups of 14 bits; zigzag doubles a value that is not negative, so
# the lowest group holds 13 bits of it. What lies above them in a timestamp changes every 8 ms only,
# and is kept in `high`.
_TIMESTAMP = [
    "@_0, @_1 = doubled[@ & 8191], high.get(@ >> 13)",
    "if @_1 is None:",
    "    if @ >= 8192:",
    "        high.clear()",
    "        @_1 = high[@ >> 13] = varint(@ >> 13)",
    "    else:",
    "        @_0, @_1 = b'', zigzag_varint(@)",
]
_LONG_INTEGER = [
    "if 8192 <= @ < 134217728:",
    "    @_0, @_1 = doubled[@ & 8191], last[@ >> 13]",
    "else:",
    "    @_0, @_1 = b'', small[@] if 0 <= @ < 8192 else zigzag_varint(@)",
]
_INTEGER = ["@ = small[@] if 0 <= @ < 8192 else zigzag_varint(@)"]
_NUMBERS = {
    "timestamp": (_TIMESTAMP, "@_0, @_1"),
    "long": (_LONG_INTEGER, "@_0, @_1"),
    "int": (_INTEGER, "@"),
}
_TEXT = [
    "@ = @.encode()",
    "@_size = len(@)",
    "@_head = text_head[@_size] if @_size < 1024 else b'\\2' + zigzag_varint(@_size)",
]
_VALUE_SOURCE: dict[tuple[str, bool], tuple[list[str], str]] = {
    ("string", False): ([], "@"),
    ("string", True): (_TEXT, "@_head, @"),
    ("strings", False): ([], "strings(@)"),
    ("strings", True): ([], "b'\\2', strings(@)"),
    ("boolean", False): ([], "b'\\1' if @ else b'\\0'"),
    ("boolean", True): ([], "b'\\2\\1' if @ else b'\\2\\0'"),
    ("double", False): ([], "double(@)"),
    ("double", True): ([], "optional_double(2, @)"),
}
for _type, (_lines, _pieces) in _NUMBERS.items():
    _VALUE_SOURCE[_type, False] = (_lines, _pieces)
    _VALUE_SOURCE[_type, True] = (_lines, "b'\\2', " + _pieces)


def _zigzag_varint(value: int) -> bytes:
    """Encode a signed integer of up to 64 bits as Avro does."""
    return _varint((value << 1) ^ (value >> 63))


def _varint(rest: int) -> bytes:
    """Encode a non-negative integer 7 bits a byte, least first; all but the last have bit 8 set."""
    out = bytearray()
    while rest > 127:  # noqa: PLR2004 - seven bits
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out)


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


def _check_texts(value: Any) -> str | None:  # noqa: ANN401
    if not isinstance(value, list | tuple):
        return f"is {type(value).__name__}; a list of str is needed"
    problems = ((number, _check_text(item)) for number, item in enumerate(value))
    found = next((f"item {number} {problem}" for number, problem in problems if problem), None)
    return items_problem(len(value)) or found


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
    "strings": _check_texts,
    "double": _check_double,
    "boolean": _check_boolean,
    "int": _check_integer(MIN_INT, MAX_INT),
    "long": _check_integer(*_LONG),
    "timestamp": _check_integer(MIN_TIMESTAMP, MAX_TIMESTAMP),
}
