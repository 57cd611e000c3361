"""From fetched records to one transaction, held to a plain reading of what it should be."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.commit import Commit, prepare
from sessionfold_consumer.source import Fetched
from sessionfold_consumer.state import state_columns
from sessionfold_consumer.store import Position
from tests import oracle
from tests.services.topics import StoredRecord
from tests.strategies import any_records, batch_of, few_session_ids, good_records, logs, stored

_RECORDS = st.one_of(good_records(few_session_ids), any_records)
_PARTITIONS = range(3)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What one step of the service has in hand."""

    log: list[StoredRecord]
    seen_ends: dict[int, int]
    positions: dict[int, Position]
    until: dict[int, int] | None


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Records of three partitions; any of these may be held, have an end, and be bounded.

    An end that was seen may lie before the last record, which came after it.
    """
    log = draw(logs(_RECORDS))
    behind = {record.partition: record.offset + 1 for record in log}
    bounds = st.fixed_dictionaries({p: _bounds(log, p) for p in _PARTITIONS})
    ended, held = draw(_some_partitions), draw(_some_partitions)
    next_offsets = draw(bounds)
    return Case(
        log=log,
        seen_ends={p: max(0, behind.get(p, 0) + draw(st.integers(-3, 3))) for p in ended},
        positions={p: position(p, next_offsets[p]) for p in held},
        until=draw(st.none() | bounds),
    )


def _bounds(log: list[StoredRecord], partition: int) -> st.SearchStrategy[int]:
    """Offsets at, behind and between records."""
    offsets = [record.offset for record in log if record.partition == partition]
    return st.sampled_from([0, 200, *offsets, *(offset + 1 for offset in offsets)])


_some_partitions = st.sets(st.sampled_from(_PARTITIONS))


@given(cases())
def test_a_commit_is_the_fold_of_just_the_wanted_records(case: Case) -> None:
    """Rows and dead letters are those of held partitions, from the position, before the end."""
    commit = prepared(case)
    wanted = [record for record in case.log if is_wanted(case, record)]
    expected = oracle.fold(wanted)
    names = [column.name for column in state_columns()]
    states = [dict(zip(names, row, strict=True)) for row in commit.rows]
    assert {(s["session_id"], s["partition"]): s for s in states} == expected.states
    letters = {(letter.partition, letter.offset): letter.reason for letter in commit.dead_letters}
    assert letters == expected.refused
    assert commit.records == len(wanted)


@given(cases())
def test_positions_advance_behind_all_that_was_seen(case: Case) -> None:
    """To the record after the last one folded, or to the end, but never past a bounded run's."""
    advances = {each.position.partition: each for each in prepared(case).advances}
    for partition, held in case.positions.items():
        target = furthest(case, partition)
        if target > held.next_offset:
            assert advances[partition].next_offset == target
            assert advances[partition].position == held
        else:
            assert partition not in advances
    assert advances.keys() <= case.positions.keys()


def test_a_record_behind_the_end_shows_that_the_run_is_over() -> None:
    """Also when the end lies behind marks of transactions, and the log's own end is never seen."""
    batch = batch_of([stored(0, 3, b"a", b"x"), stored(0, 12, b"a", b"x")])
    commit = prepare(Fetched(batch=batch), {0: position(0, 3)}, {0: 10})
    assert [advance.next_offset for advance in commit.advances] == [10]
    assert commit.records == 1


def prepared(case: Case) -> Commit:
    """Return what the service would commit."""
    fetched = Fetched(batch=batch_of(case.log), ends=case.seen_ends)
    return prepare(fetched, case.positions, case.until)


def is_wanted(case: Case, record: StoredRecord) -> bool:
    """Say whether a record is to be folded."""
    held = case.positions.get(record.partition)
    if held is None or record.offset < held.next_offset:
        return False
    return case.until is None or record.offset < case.until[record.partition]


def furthest(case: Case, partition: int) -> int:
    """Return the offset before which nothing of a partition is missing any more."""
    seen = [record.offset + 1 for record in case.log if record.partition == partition]
    seen.append(case.seen_ends.get(partition, 0))
    return max(seen) if case.until is None else min(max(seen), case.until[partition])


def position(partition: int, next_offset: int) -> Position:
    """Return a position that this process holds."""
    return Position(partition=partition, next_offset=next_offset, owner_epoch=7)
