"""The contract as data: fields, fold rules and fingerprint, read from the ``.avsc`` files."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, Literal, get_args

from .errors import ContractError, UnknownFingerprintError

FoldRule = Literal["key", "first_and_last", "none", "sum", "last", "first"]
"""How a field's values become a session's state, in the order of the log:

- ``key``: names the session; a partition's events with the same value are folded together.
- ``first_and_last``: the values of the first and of the last event, as ``first_…`` and ``last_…``.
- ``none``: no part of the state; the value is in the log only, for audits of order and gaps.
- ``sum``: the values of all events are added up, each exactly once.
- ``last``: the value of the last event that gave the field, with that record's offset.
- ``first``: the value of the first event that gave the field, with that record's offset.
"""

ValueType = Literal["string", "strings", "long", "int", "double", "boolean", "timestamp"]
"""The value types a field may have; ``timestamp`` is Avro's ``timestamp-micros``, ``strings`` an
array of strings."""

_AVRO_TYPES: dict[ValueType, Any] = {
    "string": "string",
    "strings": {"type": "array", "items": "string"},
    "long": "long",
    "int": "int",
    "double": "double",
    "boolean": "boolean",
    "timestamp": {"type": "long", "logicalType": "timestamp-micros"},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One field of the event.

    ``optional`` fields are Avro unions of null and the type; null means *not given*.
    """

    name: str
    type: ValueType
    optional: bool
    fold: FoldRule
    unit: str
    doc: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Contract:
    """One published version of the event. Immutable and safe to share between threads."""

    version: int
    fields: tuple[Field, ...]
    avro_schema: dict[str, Any]

    @cached_property
    def fingerprint(self) -> bytes:
        """CRC-64-AVRO of the Parsing Canonical Form, 8 bytes, little-endian (as on the wire)."""
        from fastavro.schema import fingerprint, to_parsing_canonical_form

        canonical = to_parsing_canonical_form(self.avro_schema)
        return bytes.fromhex(fingerprint(canonical, "CRC-64-AVRO"))

    @cached_property
    def digest(self) -> str:
        """SHA-256, in hex, of the whole contract, fold rules included.

        The Avro fingerprint does not see the ``fold`` attribute; this does.
        """
        text = json.dumps(self.avro_schema, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def state_fields(self) -> tuple[Field, ...]:
        """The fields a session's state has a value (and the offset that set it) for."""
        return tuple(field for field in self.fields if field.fold in ("last", "first"))

    def fields_by_fold(self, rule: FoldRule) -> tuple[Field, ...]:
        """Return the fields with this fold rule, in the contract's order."""
        return tuple(field for field in self.fields if field.fold == rule)

    @property
    def key(self) -> Field:
        """The field that names the session."""
        return self.fields_by_fold("key")[0]


@cache
def current() -> Contract:
    """Return the version that the SDK writes and the store is shaped by."""
    return _tried[-1] if _tried else _shipped()


@cache
def published() -> tuple[Contract, ...]:
    """Return every version that was ever published, oldest first, the current one last."""
    folder = resources.files(__package__).joinpath("published")
    texts = [f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".avsc")]
    earlier = sorted(map(_load, texts), key=lambda contract: contract.version)
    versions = (*earlier, _shipped(), *_tried)
    # Of two that write the same bytes, the later one says what they mean.
    return tuple({each.fingerprint: each for each in versions}.values())


_tried: list[Contract] = []


def try_contract(text: str) -> None:
    """Let this process, from here on, take another contract for the current one.

    To be called before anything was asked of the contract, in a process of its own.

    Args:
        text: an ``.avsc`` file.

    Raises:
        ContractError: when it is none that this program can work with.
    """
    _tried.append(_load(text))
    published.cache_clear()
    current.cache_clear()


@cache
def _shipped() -> Contract:
    return _load(resources.files(__package__).joinpath("session_updated.avsc").read_text("utf-8"))


def by_version(version: int) -> Contract:
    """Return a published version by its number.

    Raises:
        ContractError: when there is none of this number.
    """
    for contract in published():
        if contract.version == version:
            return contract
    raise ContractError(f"no version {version} of SessionUpdated was published")


def by_fingerprint(fingerprint: bytes) -> Contract:
    """Return the published version with this fingerprint (8 bytes, little-endian).

    Raises:
        UnknownFingerprintError: when no published version has it.
    """
    contract = _by_fingerprint().get(fingerprint)
    if contract is None:
        raise UnknownFingerprintError(fingerprint)
    return contract


@cache
def _by_fingerprint() -> dict[bytes, Contract]:
    return {contract.fingerprint: contract for contract in published()}


def contract_of(schema: dict[str, Any]) -> Contract:
    """Return the contract that the JSON of an ``.avsc`` file describes.

    Raises:
        ContractError: when a field's type or fold rule is none that there is, or there is not one
            key.
    """
    fields = tuple(field_of(entry) for entry in schema["fields"])
    if [field.fold for field in fields].count("key") != 1 or fields[0].fold != "key":
        raise ContractError("the contract's first field, and no other, must have the fold rule key")
    return Contract(version=schema["version"], fields=fields, avro_schema=schema)


def _load(text: str) -> Contract:
    return contract_of(json.loads(text))


def field_of(entry: dict[str, Any]) -> Field:
    """Return the field that an entry of an ``.avsc`` describes.

    Raises:
        ContractError: when its type or fold rule is none that there is, or they do not fit.
    """
    avro_type = entry["type"]
    optional = isinstance(avro_type, list)
    if optional and (avro_type[0] != "null" or len(avro_type) != 2):  # noqa: PLR2004
        raise ContractError(f"{entry['name']}: a union must be null and one type, null first")
    fold = entry["fold"]
    if fold not in get_args(FoldRule):
        raise ContractError(f"{entry['name']}: unknown fold rule {fold!r}")
    if optional != (fold in ("last", "first")):
        raise ContractError(
            f"{entry['name']}: fields folded by last or first, and no others, are optional"
        )
    return Field(
        name=entry["name"],
        type=_value_type(entry["name"], avro_type[1] if optional else avro_type),
        optional=optional,
        fold=fold,
        unit=entry["unit"],
        doc=entry["doc"],
    )


def _value_type(name: str, avro_type: object) -> ValueType:
    for value_type, known in _AVRO_TYPES.items():
        if avro_type == known:
            return value_type
    raise ContractError(
        f"{name}: the type {json.dumps(avro_type)} is not supported; use one of string, "
        "long, int, double, boolean, timestamp-micros or an array of string"
    )
