"""Avro single-object encoding: which schema wrote a record's body.

Format: C3 01, the CRC-64-AVRO fingerprint of the writer schema (8 bytes, little-endian), the body.
Source: Apache Avro specification 1.12, "Single-object encoding". Any other first byte is refused:
a bare Avro body can decode without an error into wrong values. Byte 0 (the Confluent format with a
registry's schema ID) is refused, too, until a registry can be configured.
"""

from __future__ import annotations

from ._contract import Contract, by_fingerprint
from .errors import InvalidRecordError, UnknownFingerprintError

MAGIC = b"\xc3\x01"
"""The first two bytes of a single-object encoded record."""

HEADER_BYTES = 10
"""The length of magic and fingerprint together."""

MAX_RECORD_BYTES = 1_048_576
"""Values longer than this are refused before they are decoded (Kafka's own default limit)."""


def frame(contract: Contract, body: bytes) -> bytes:
    """Put the header of ``contract`` in front of an encoded body."""
    return MAGIC + contract.fingerprint + body


def unframe(value: bytes) -> tuple[Contract, bytes]:
    """Split a record's value into its writer's contract and the body.

    Raises:
        InvalidRecordError: with reason ``not_single_object`` or ``unknown_schema``.
    """
    if value[:2] != MAGIC or len(value) < HEADER_BYTES:
        raise InvalidRecordError(
            "not_single_object",
            f"the value starts with {value[:2].hex()} and is {len(value)} bytes long; "
            f"an event starts with c301 and a fingerprint of 8 bytes",
        )
    try:
        return by_fingerprint(fingerprint_of(value)), value[HEADER_BYTES:]
    except UnknownFingerprintError as error:
        raise InvalidRecordError("unknown_schema", str(error)) from None


def fingerprint_of(value: bytes) -> bytes:
    """Return the fingerprint in the header of a record's value."""
    return value[len(MAGIC) : HEADER_BYTES]
