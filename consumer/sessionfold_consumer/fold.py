"""The fold: the valid events of a batch become one row a session. Pure: no clock, no I/O.

State is, for each field, the value of the last (or first) event that gave it, in log order, with
the offset of that event. The unit of state is a session *in a partition*: offsets of different
partitions cannot be compared, so a session whose events a foreign partitioner spread over two has
two rows, each exact, whatever order the partitions are read in.

Only the winning values become Python objects. With numpy, "the last place a session has" is one
assignment: where an index is repeated, the last value assigned stays (NumPy user guide, "Assigning
values to indexed arrays").
"""

from __future__ import annotations

from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sessionfold_schemas import Field, current

from .decode import Events, numbered
from .fields import Column, pieces, texts_of
from .state import Row

_Groups = NDArray[np.int64]


def fold(events: Events) -> list[Row]:
    """Fold a batch's events to one row for each session and partition, in order of first event.

    Booleans are bools, timestamps integer microseconds, texts str; a field that no event of the
    batch gave is None, as is its offset.
    """
    if not len(events.accepted):
        return []
    grouping = _Grouping(events)
    contract = current()
    columns: list[Any] = [
        grouping.session_ids,
        grouping.partitions,
        grouping.offsets[grouping.first].tolist(),
        grouping.offsets[grouping.last].tolist(),
        np.bincount(grouping.group_of[events.accepted]).tolist(),
    ]
    for field in contract.fields_by_fold("first_and_last"):
        values = _spread(events.columns[field.name], len(events.batch))
        columns += [values[grouping.first].tolist(), values[grouping.last].tolist()]
    for field in contract.fields_by_fold("sum"):
        columns.append(_sums(grouping, events.columns.get(field.name)))
    for field in contract.state_fields:
        columns += _winners(grouping, events, field)
    return list(zip(*columns, strict=True))


class _Grouping:
    """Which session, in which partition, each accepted record belongs to."""

    def __init__(self, events: Events) -> None:
        batch = events.batch
        places = events.accepted
        session, session_ids = events.sessions, events.session_ids
        if len(places) < len(batch):
            keys = [session_ids[each] for each in session[places].tolist()]
            session, session_ids = numbered(keys)
        names = [*map(bytes.decode, session_ids)]
        partition = batch.partition_column[places]
        group, self.session_ids, self.partitions = _by_partition(session, partition, names)
        self.size = len(self.session_ids)
        self.offsets = batch.offset_column
        self.group_of = np.full(len(batch), -1)
        self.group_of[places] = group
        self.first = np.empty(self.size, np.int64)
        self.last = np.empty(self.size, np.int64)
        self.first[group[::-1]] = places[::-1]
        self.last[group] = places


def _by_partition(
    session: _Groups, partition: NDArray[np.int64], names: list[str]
) -> tuple[_Groups, list[str], list[int]]:
    """Split sessions that occur in several partitions; nearly always there are none."""
    home = np.empty(len(names), np.int64)
    home[session] = partition
    if (home[session] == partition).all():
        return session, names, home.tolist()
    pairs = dict.fromkeys(zip(session.tolist(), partition.tolist(), strict=True))
    numbers = {pair: number for number, pair in enumerate(pairs)}
    group = [numbers[pair] for pair in zip(session.tolist(), partition.tolist(), strict=True)]
    return np.array(group), [names[s] for s, _ in pairs], [p for _, p in pairs]


def _spread(column: Column, size: int) -> NDArray[Any]:
    """Return the values of a field that every event has, by the record's place."""
    values = np.zeros(size, column.values.dtype)
    values[column.places] = column.values
    return values


def _sums(grouping: _Grouping, column: Column | None) -> list[int]:
    sums = np.zeros(grouping.size, np.int64)
    if column is None:  # every writer of the batch is older than the field
        return sums.tolist()
    given = column.only(column.values != 0)
    np.add.at(sums, grouping.group_of[given.places], given.values)
    return sums.tolist()


def _winners(grouping: _Grouping, events: Events, field: Field) -> tuple[list[Any], list[Any]]:
    """Return a field's value and offset for each group, None where the batch has none."""
    column = events.columns.get(field.name)
    if column is None or not len(column.places):
        nothing = list(repeat(None, grouping.size))
        return nothing, nothing
    groups = grouping.group_of[column.places]
    order = np.arange(len(groups))
    if field.fold == "first":
        groups, order = groups[::-1], order[::-1]
    chosen = np.full(grouping.size, -1)
    chosen[groups] = order
    winning = np.flatnonzero(chosen >= 0)
    column = column.only(chosen[winning])
    values, offsets = _objects(events, column, field), grouping.offsets[column.places].tolist()
    return _placed(values, winning, grouping.size), _placed(offsets, winning, grouping.size)


def _objects(events: Events, column: Column, field: Field) -> list[Any]:
    """Return a column's values as Python has them."""
    if column.ends is None:
        return list(column.values.tolist())
    found = pieces(events.joined, column)
    return [*map(texts_of, found)] if field.type == "strings" else [*map(bytes.decode, found)]


def _placed(values: list[Any], at: _Groups, size: int) -> list[Any]:
    if len(values) == size:
        return values
    column = np.full(size, None, object)
    column[at] = values
    return list(column.tolist())
