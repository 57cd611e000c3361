"""From a refused record to the dead letter that the store keeps of it. Pure."""

from __future__ import annotations

from .decode import Refused
from .records import RecordBatch
from .store import DeadLetter


def dead_letter(batch: RecordBatch, refused: Refused) -> DeadLetter:
    """Return the dead letter of one refused record: all that Kafka had of it, and the reason."""
    place = refused.place
    return DeadLetter(
        partition=batch.partitions[place],
        offset=batch.offsets[place],
        timestamp=batch.timestamps[place],
        key=batch.keys[place],
        value=batch.values[place],
        headers=tuple(batch.headers(place)),
        reason=refused.reason,
        detail=refused.detail,
    )
