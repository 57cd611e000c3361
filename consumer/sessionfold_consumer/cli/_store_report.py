"""What ``sessionfold store check`` says of a store."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from ..errors import PositionMissingError
from ..store import Gap, SessionStore, StoreInfo, Versions


def report(store: SessionStore, versions: Versions) -> dict[str, Any]:
    """Return what a store says of itself, of one moment, as JSON values.

    Raises:
        StoreUnusableError: when a position is missing.
    """
    with store.snapshot():
        info, positions = store.info(), store.positions()
        statuses = Counter(letter.status for letter in store.dead_letters())
        gaps = store.gaps()
    for partition in range(info.identity.partition_count if info.identity else 0):
        if partition not in positions:
            raise PositionMissingError(partition)
    return {
        "version": versions.version,
        "compatible_from": versions.compatible_from,
        **_described(info),
        "positions": [
            {
                "partition": partition,
                "first_offset": each.first_offset,
                "next_offset": each.next_offset,
                "owner_epoch": each.owner_epoch,
                "attempts": each.attempts,
            }
            for partition, each in sorted(positions.items())
        ],
        "gaps": [_gap(gap) for gap in gaps],
        "dead_letters": {status: statuses[status] for status in ("open", "retried", "dropped")},
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """Yield a report as people read it."""
    yield f"version       {found['version']}, for programs from {found['compatible_from']} on"
    yield f"contract      {found['contract_version']} ({found['contract_digest'][:12]})"
    yield f"store ID      {found['store_id']}"
    yield f"generation    {found['generation']}; the other one: {found['shadow']}"
    yield f"topic         {_topic(found)}"
    yield f"stopped       {found['stopped'] or 'no'}"
    for each in found["positions"]:
        attempts = f", {each['attempts']} attempts" if each["attempts"] else ""
        yield (
            f"partition {each['partition']:<3} folded from {each['first_offset']} to before "
            f"{each['next_offset']}, owner epoch {each['owner_epoch']}{attempts}"
        )
    for gap in found["gaps"]:
        yield f"gap           {gap['partition']}:{gap['first']}-{gap['last']}"
    counts = ", ".join(f"{count} {status}" for status, count in found["dead_letters"].items())
    yield f"dead letters  {counts}"


def _described(info: StoreInfo) -> dict[str, Any]:
    identity = info.identity
    return {
        "store_id": info.store_id,
        "contract_version": info.contract_version,
        "contract_digest": info.contract_digest,
        "generation": info.generation,
        "shadow": info.shadow,
        "topic": identity and identity.topic,
        "topic_id": identity and identity.topic_id,
        "partition_count": identity and identity.partition_count,
        "stopped": info.stopped,
    }


def _gap(gap: Gap) -> dict[str, int]:
    """Return a gap as ``run --accept-gap`` has it: with the last offset, not the one behind it."""
    return {"partition": gap.partition, "first": gap.first, "last": gap.end - 1}


def _topic(found: dict[str, Any]) -> str:
    if found["topic"] is None:
        return "none yet: no service has run on this store"
    return f"{found['topic']} (ID {found['topic_id']}, {found['partition_count']} partitions)"
