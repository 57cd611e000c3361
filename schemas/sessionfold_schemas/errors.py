"""Errors of the contract.

::

    ContractError
    ├── UnknownFingerprintError   no published version has this fingerprint
    ├── InvalidEventError         an event that the contract does not allow (encoding side)
    └── InvalidRecordError        bytes that are not a valid event (decoding side)
"""

from __future__ import annotations

from typing import Literal

Reason = Literal[
    "empty_value",
    "too_large",
    "not_single_object",
    "unknown_schema",
    "malformed",
    "not_canonical",
    "invalid_value",
    "key_mismatch",
]
"""Why a record was refused.

``empty_value``: null or no bytes. ``too_large``: over the record limit. ``not_single_object``:
does not start with C3 01 and a fingerprint. ``unknown_schema``: no published version has the
fingerprint. ``malformed``: the body does not decode. ``not_canonical``: it decodes, but encoding
the result gives other bytes. ``invalid_value``: a value breaks a value rule. ``key_mismatch``: the
record's key is not the session ID.
"""


class ContractError(Exception):
    """Base of every error this package raises."""


class UnknownFingerprintError(ContractError):
    """Raised when no published version of the contract has the given fingerprint."""

    def __init__(self, fingerprint: bytes) -> None:
        self.fingerprint = fingerprint
        super().__init__(unknown_fingerprint(fingerprint))


def unknown_fingerprint(fingerprint: bytes) -> str:
    """Say that no published version has this fingerprint."""
    return (
        f"no published version of SessionUpdated has the fingerprint {fingerprint.hex()}; "
        "upgrade this side to a release that knows the writer's schema"
    )


class InvalidEventError(ContractError):
    """Raised when a value of an event to encode breaks the contract."""

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field}: {problem}")


class InvalidRecordError(ContractError):
    """Raised when a record's bytes are not a valid event. Final: the bytes never become valid."""

    def __init__(self, reason: Reason, detail: str) -> None:
        self.reason: Reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}")
