"""Where a value comes from: a record of the log, and what its event says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from ..verify.reference import Event
from .session import Record

PRODUCER, SEQUENCE, MOMENT = "producer_id", "sequence", "occurred_at"
"""The contract's fields that tell of an event who published it, as which of its own, and when."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """The record that a value comes from.

    All but its place is None when the log no longer has the record.
    """

    partition: int
    offset: int
    timestamp: int | None = None
    """Kafka's time of the record, in milliseconds since the epoch."""
    occurred_at: int | None = None
    """The worker's time of the event, in microseconds since the epoch."""
    producer_id: str | None = None
    sequence: int | None = None

    @property
    def is_known(self) -> bool:
        """Whether the log still has the record."""
        return self.timestamp is not None


def origin_of(record: Record, event: Event) -> Origin:
    """Return the origin of what an event gave."""
    return Origin(
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp,
        occurred_at=event[MOMENT],
        producer_id=event[PRODUCER],
        sequence=event[SEQUENCE],
    )
