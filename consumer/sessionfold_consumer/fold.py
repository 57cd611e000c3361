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

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sessionfold_schemas import Field, current

from .decode import Events
from .fields import Column, pieces, texts_of
from .state import Rows

_Groups = NDArray[np.int64]


def fold(events: Events) -> Rows:
    """Fold a batch's events to one row for each session and partition, in their order.

    That is the order of the stores' index: so fewer of its pages are touched at a time.

    Booleans are bools, timestamps integer microseconds, texts str; a field that no event of the
    session gave is None, as is its offset. One that no event of the batch gave has no column.
    """
    if not len(events.accepted):
        return Rows({})
    grouping = _Grouping(events)
    contract = current()
    columns: dict[str, list[Any]] = {
        contract.key.name: grouping.session_ids,
        "partition": grouping.partitions,
        "first_offset": grouping.offsets[grouping.first].tolist(),
        "last_offset": grouping.offsets[grouping.last].tolist(),
        "event_count": np.bincount(grouping.group_of[events.accepted]).tolist(),
    }
    for field in contract.fields_by_fold("first_and_last"):
        spread = _spread(events.columns[field.name], len(events.batch))
        columns[f"first_{field.name}"] = spread[grouping.first].tolist()
        columns[f"last_{field.name}"] = spread[grouping.last].tolist()
    for field in contract.fields_by_fold("sum"):
        columns[field.name] = _sums(grouping, events.columns.get(field.name))
    for field in contract.state_fields:
        if field.name in events.columns:
            columns |= _winners(grouping, events, field)
    return Rows(columns)


class _Grouping:
    """Which session, in which partition, each accepted record belongs to: the group's number.

    A refused record belongs to none: its number is -1, which is the last place of an array that has
    one more than there are groups.
    """

    def __init__(self, events: Events) -> None:
        batch = events.batch
        places = events.accepted
        session, session_ids = events.sessions, events.session_ids
        if len(places) < len(batch):
            session, session_ids = _of_accepted(session[places], session_ids)
        names = [*map(bytes.decode, session_ids)]
        order = sorted(range(len(names)), key=names.__getitem__)
        ranks = np.empty(len(names), np.int64)
        ranks[order] = np.arange(len(names))
        group, self.session_ids, self.partitions = _by_partition(
            ranks[session], batch.partition_column[places], [names[each] for each in order]
        )
        self.size = len(self.session_ids)
        self.offsets = batch.offset_column
        self.group_of = np.full(len(batch), -1)
        self.group_of[places] = group
        self.first = np.empty(self.size, np.int64)
        self.last = np.empty(self.size, np.int64)
        self.first[group[::-1]] = places[::-1]
        self.last[group] = places


def _of_accepted(session: _Groups, session_ids: list[bytes]) -> tuple[_Groups, list[bytes]]:
    """Number sessions anew: those that have an event."""
    there = np.zeros(len(session_ids), bool)
    there[session] = True
    numbers = np.cumsum(there) - 1
    return numbers[session], [session_ids[each] for each in np.flatnonzero(there).tolist()]


def _by_partition(
    session: _Groups, partition: NDArray[np.int64], names: list[str]
) -> tuple[_Groups, list[str], list[int]]:
    """Split sessions that occur in several partitions; nearly always there are none."""
    home = np.empty(len(names), np.int64)
    home[session] = partition
    if (home[session] == partition).all():
        return session, names, home.tolist()
    places = [*zip(session.tolist(), partition.tolist(), strict=True)]
    pairs = sorted({*places})
    numbers = {pair: number for number, pair in enumerate(pairs)}
    group = np.array([numbers[place] for place in places])
    return group, [names[s] for s, _ in pairs], [p for _, p in pairs]


def _spread(column: Column, size: int) -> NDArray[Any]:
    """Return the values of a field that every event has, by the record's place."""
    values = np.zeros(size, column.values.dtype)
    values[column.places] = column.values
    return values


def _sums(grouping: _Grouping, column: Column | None) -> list[int]:
    sums = np.zeros(grouping.size + 1, np.int64)
    if column is not None:  # else every writer of the batch is older than the field
        given = column.only(column.values != 0)
        np.add.at(sums, grouping.group_of[given.places], given.values)
    found: list[int] = sums[:-1].tolist()
    return found


def _winners(grouping: _Grouping, events: Events, field: Field) -> dict[str, list[Any]]:
    """Return the columns of a field's value and its offset, None for groups that do not give it.

    None at all when no group does.
    """
    column = events.columns[field.name]
    groups = grouping.group_of[column.places]
    order = np.arange(len(groups))
    if field.fold == "first":
        groups, order = groups[::-1], order[::-1]
    chosen = np.full(grouping.size + 1, -1)
    chosen[groups] = order
    winning = np.flatnonzero(chosen[:-1] >= 0)
    if not len(winning):
        return {}
    column = column.only(chosen[winning])
    values, offsets = _objects(events, column, field), grouping.offsets[column.places].tolist()
    return {
        field.name: _placed(values, winning, grouping.size),
        f"{field.name}_offset": _placed(offsets, winning, grouping.size),
    }


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
