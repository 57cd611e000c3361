"""What the source hands over: a batch of records, as parallel lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Headers = Sequence[tuple[str, bytes | None]]


def _no_headers(_: int) -> Headers:
    return ()


@dataclass(frozen=True, kw_only=True, slots=True)
class RecordBatch:
    """Records of one or more partitions; those of a partition are in log order.

    All lists have the same length. ``headers`` takes the place of a record in the batch: headers
    are only read for dead letters.
    """

    partitions: list[int]
    offsets: list[int]
    timestamps: list[int]
    """The records' Kafka timestamps, in milliseconds since the epoch."""
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: Callable[[int], Headers] = _no_headers

    def __len__(self) -> int:
        return len(self.values)

    def select(self, places: list[int]) -> RecordBatch:
        """Return the records at ``places`` (ascending) as a batch of their own."""
        headers = self.headers
        return RecordBatch(
            partitions=[self.partitions[i] for i in places],
            offsets=[self.offsets[i] for i in places],
            timestamps=[self.timestamps[i] for i in places],
            keys=[self.keys[i] for i in places],
            values=[self.values[i] for i in places],
            headers=lambda place: headers(places[place]),
        )
