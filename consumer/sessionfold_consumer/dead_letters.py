"""From a refused record to the dead letter that the store keeps of it. Pure."""

from __future__ import annotations

from .decode import Refused
from .records import RecordBatch
from .store import FATAL_REASON, DeadLetter


def dead_letter(batch: RecordBatch, refused: Refused) -> DeadLetter:
    """Return the dead letter of one refused record: all that Kafka had of it, and the reason."""
    return _letter(batch, refused.place, refused.reason, refused.detail)


def fatal_letter(batch: RecordBatch, place: int) -> DeadLetter:
    """Return the dead letter of a record that is not decoded, since that ended processes."""
    detail = "processes ended, again and again, while they folded this record; it was not decoded"
    return _letter(batch, place, FATAL_REASON, detail)


def _letter(batch: RecordBatch, place: int, reason: str, detail: str) -> DeadLetter:
    return DeadLetter(
        partition=batch.partitions[place],
        offset=batch.offsets[place],
        timestamp=batch.timestamps[place],
        key=batch.keys[place],
        value=batch.values[place],
        headers=tuple(batch.headers(place)),
        reason=reason,
        detail=detail,
    )
