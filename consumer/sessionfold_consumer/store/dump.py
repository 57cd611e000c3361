"""The canonical dump: what two stores are compared by.

JSON lines: the contract, each partition's position, each gap, each state with the offset that set
each of its fields, each dead letter and what became of it; in one fixed order. Two stores that
folded the same log to the same positions have byte-identical dumps, whatever their kind, batches or
restarts.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from .protocol import DeadLetter, SessionStore


def dump(store: SessionStore) -> Iterator[str]:
    """Yield the dump's lines, without line ends; all of one moment, while others write."""
    with store.snapshot():
        yield from dump_lines(store)


def dump_lines(store: SessionStore) -> Iterator[str]:
    """Yield the dump's lines; the caller sees that they are of one moment."""
    info = store.info()
    identity = info.identity
    yield _line("store", contract=info.contract_digest, topic=identity and identity.topic)
    for partition, position in sorted(store.positions().items()):
        yield _line("position", partition=partition, next_offset=position.next_offset)
    for gap in store.gaps():
        yield _line("gap", partition=gap.partition, first=gap.first, end=gap.end)
    for state in store.states():
        yield _line("state", **state)
    for letter in store.dead_letters():
        yield _line("dead_letter", **letter_fields(letter))


def letter_fields(letter: DeadLetter) -> dict[str, Any]:
    """Return a dead letter as JSON-ready values; bytes in hex."""
    return {
        "partition": letter.partition,
        "offset": letter.offset,
        "status": letter.status,
        "session_id": letter.session_id,
        "timestamp": letter.timestamp,
        "reason": letter.reason,
        "detail": letter.detail,
        "key": _hex(letter.key),
        "value": _hex(letter.value),
        "headers": [[name, _hex(value)] for name, value in letter.headers],
    }


def letter_from(fields: Mapping[str, Any]) -> DeadLetter:
    """Return the dead letter that :func:`letter_fields` has described."""
    return DeadLetter(
        partition=fields["partition"],
        offset=fields["offset"],
        timestamp=fields["timestamp"],
        key=_bytes(fields["key"]),
        value=_bytes(fields["value"]),
        headers=tuple((name, _bytes(value)) for name, value in fields["headers"]),
        reason=fields["reason"],
        detail=fields["detail"],
        status=fields["status"],
    )


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else bytes.fromhex(text)


def _hex(data: bytes | None) -> str | None:
    return None if data is None else data.hex()


def _line(kind: str, **values: Any) -> str:  # noqa: ANN401 - JSON values
    return json.dumps({"kind": kind, **values}, ensure_ascii=False, separators=(",", ":"))
