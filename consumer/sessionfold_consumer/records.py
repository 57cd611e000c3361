"""What the source hands over: a batch of records, as parallel sequences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from sessionfold_schemas import session_id_problem

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Headers = Sequence[tuple[str, bytes | None]]


def _no_headers(_: int) -> Headers:
    return ()


@dataclass(frozen=True, kw_only=True)
class RecordBatch:
    """Records of one or more partitions; those of a partition are in log order.

    All have the same length. ``headers`` takes the place of a record in the batch: headers
    are only read for dead letters.
    """

    partitions: Sequence[int]
    offsets: Sequence[int]
    timestamps: Sequence[int]
    """The records' Kafka timestamps, in milliseconds since the epoch."""
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: Callable[[int], Headers] = _no_headers

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def partition_column(self) -> NDArray[np.int64]:
        """The partitions as an array."""
        import numpy as np  # commands that read no records do without it

        return np.fromiter(self.partitions, np.int64, len(self))

    @cached_property
    def offset_column(self) -> NDArray[np.int64]:
        """The offsets as an array."""
        import numpy as np

        return np.fromiter(self.offsets, np.int64, len(self))

    @cached_property
    def ranges(self) -> dict[int, tuple[int, int]]:
        """For each partition the places of its first and its last record."""
        import numpy as np

        if not len(self):
            return {}
        partitions, places = self.partition_column, np.arange(len(self))
        first = np.full(partitions.max() + 1, -1)
        last = first.copy()
        # Where an index is repeated, the last value assigned stays.
        first[partitions[::-1]], last[partitions] = places[::-1], places
        there = np.flatnonzero(last >= 0)
        ranges = zip(first[there].tolist(), last[there].tolist(), strict=True)
        return dict(zip(there.tolist(), ranges, strict=True))

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


def session_of(key: bytes | None) -> str | None:
    """Return the session ID that is a record's key; None when the key is none."""
    try:
        name = (key or b"").decode()
    except UnicodeDecodeError:
        return None
    return name if session_id_problem(name) is None else None
