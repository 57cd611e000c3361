"""From fetched records to what one commit writes: decode, fold, and nothing else. Pure.

The position of a partition is given, not asked for; so a record that was folded before, that
belongs to another process by now, or that lies behind the end of a bounded run, is dropped here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType

from .dead_letters import dead_letters, fatal_letter
from .decode import Refused, decode
from .fold import fold
from .records import RecordBatch
from .source import Fetched
from .state import Rows
from .store import Advance, DeadLetter, Position

LeftOut = Mapping[int, Set[int]]
"""For each partition the offsets of records that are not to be decoded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Commit:
    """What one transaction of the store writes, and what it is made of."""

    advances: Sequence[Advance]
    rows: Rows
    dead_letters: Sequence[DeadLetter]
    records: int
    """How many records it accounts for."""
    refused: Sequence[Refused] = ()
    """Those of them that are no valid events, by their place."""
    timestamps: tuple[int, int] | None = None
    """When these records begin and end, by Kafka's times of each partition's first and last one, in
    milliseconds; None for none."""


def prepare(
    fetched: Fetched,
    positions: Mapping[int, Position],
    ends: Mapping[int, int] | None = None,
    fatal: Set[int] = frozenset(),
    left_out: LeftOut = MappingProxyType({}),
) -> Commit:
    """Fold what was fetched, from the given positions on.

    Args:
        fetched: records as they came, and the partitions whose end was seen.
        positions: the partitions that this process holds.
        ends: for each partition the offset to stop before; None is without end.
        fatal: partitions whose next record is not to be decoded, but to be set aside as it is.
        left_out: for each partition the offsets of records that are passed over.
    """
    batch = _wanted(fetched.batch, positions, ends)
    bounds = [batch.timestamps[place] for range_ in batch.ranges.values() for place in range_]
    lethal = [batch.ranges[each][0] for each in fatal if each in batch.ranges]
    passed = {*lethal, *_left_out_places(batch, left_out)}
    harmless = batch if not passed else batch.select(sorted({*range(len(batch))} - passed))
    events = decode(harmless)
    letters = dead_letters(harmless, events.refused)
    if lethal:
        letters = [*letters, *(fatal_letter(batch, place) for place in lethal)]
    return Commit(
        advances=_advances(_reached(batch, fetched, ends), positions),
        rows=fold(events),
        dead_letters=letters,
        records=len(batch),
        refused=events.refused,
        timestamps=(min(bounds), max(bounds)) if bounds else None,
    )


def _left_out_places(batch: RecordBatch, left_out: LeftOut) -> list[int]:
    """Return the places of records that were set aside for good; nearly always there are none."""
    concerned = left_out.keys() & batch.ranges.keys()
    if not concerned:
        return []
    places = enumerate(zip(batch.partitions, batch.offsets, strict=True))
    return [i for i, (p, offset) in places if p in concerned and offset in left_out[p]]


def _wanted(
    batch: RecordBatch, positions: Mapping[int, Position], ends: Mapping[int, int] | None
) -> RecordBatch:
    """Drop what is not to be folded; nearly always there is nothing to drop."""
    if all(
        _is_wanted(partition, batch.offsets[place], positions, ends)
        for partition, first_and_last in batch.ranges.items()
        for place in first_and_last
    ):
        return batch
    places = enumerate(zip(batch.partitions, batch.offsets, strict=True))
    return batch.select([i for i, (p, offset) in places if _is_wanted(p, offset, positions, ends)])


def _is_wanted(
    partition: int,
    offset: int,
    positions: Mapping[int, Position],
    ends: Mapping[int, int] | None,
) -> bool:
    held = positions.get(partition)
    if held is None or offset < held.next_offset:
        return False
    return ends is None or offset < ends[partition]


def _reached(
    batch: RecordBatch, fetched: Fetched, ends: Mapping[int, int] | None
) -> dict[int, int]:
    """Return the offset that each partition is folded up to, those without a record included."""
    seen = dict(fetched.ends)
    if batch is not fetched.batch:
        # A record behind the end of a bounded run shows, as an end does, that none is missing.
        last = _last_offsets(fetched.batch)
        seen |= {partition: max(last[partition], seen.get(partition, 0)) for partition in last}
    reached = {partition: offset + 1 for partition, offset in _last_offsets(batch).items()}
    for partition, end in seen.items():
        bound = end if ends is None else min(end, ends.get(partition, end))
        reached[partition] = max(bound, reached.get(partition, 0))
    return reached


def _last_offsets(batch: RecordBatch) -> dict[int, int]:
    return {partition: batch.offsets[last] for partition, (_, last) in batch.ranges.items()}


def _advances(reached: Mapping[int, int], positions: Mapping[int, Position]) -> list[Advance]:
    return [
        Advance(position=positions[partition], next_offset=next_offset)
        for partition, next_offset in sorted(reached.items())
        if partition in positions and next_offset > positions[partition].next_offset
    ]
