"""What every source of records does, in memory and on a real broker alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from sessionfold_consumer.errors import LogTruncatedError
from sessionfold_consumer.records import RecordBatch
from sessionfold_consumer.source import Changes, Source, Watermarks
from tests.contract.source.logs import PARTITIONS, InMemory, Log, OnBroker
from tests.services.kafka import Broker

_PATIENCE_SECONDS = 20.0

Places = list[tuple[int, int]]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def log(request: pytest.FixtureRequest) -> Log:
    """An empty log of each kind."""
    if request.param == "memory":
        return InMemory()
    broker: Broker = request.getfixturevalue("broker")
    return OnBroker(broker)


@pytest.fixture
def source(log: Log) -> Iterator[Source]:
    """A source of that log."""
    with closing(log.open()) as opened:
        yield opened


def test_all_partitions_are_assigned_once(source: Source) -> None:
    """Without a group every partition is given at the first question, and nothing is taken."""
    assert _sorted(source.changes()) == (list(range(PARTITIONS)), [])
    source.fetch(10, 0.05)
    assert _sorted(source.changes()) == ([], [])


def test_nothing_comes_before_the_start(log: Log, source: Source) -> None:
    """An assigned partition gives no records and no end until it is started, others do."""
    log.append(0, [(b"a", b"0")])
    log.append(1, [(b"b", b"1")])
    source.changes()
    source.start({1: 0})
    assert _places(_until_ends(source, {1: 1})) == [(1, 0)]


def test_records_come_from_the_start_on_in_log_order(log: Log, source: Source) -> None:
    """Each partition begins at the offset it was started at and leaves nothing out."""
    for partition in range(PARTITIONS):
        log.append(partition, [(b"k", b"%d" % number) for number in range(40)])
    source.start({0: 0, 1: 17, 2: 40})
    got = _places(_until_ends(source, dict.fromkeys(range(PARTITIONS), 40)))
    assert [place for place in got if place[0] == 0] == [(0, offset) for offset in range(40)]
    assert [place for place in got if place[0] == 1] == [(1, offset) for offset in range(17, 40)]
    assert [place for place in got if place[0] == 2] == []


def test_a_record_is_handed_over_as_the_log_holds_it(log: Log, source: Source) -> None:
    """Null, empty and binary keys and values; headers in order, repeated and null ones too."""
    pairs = [(None, None), (b"", b""), (b"\xff\0", b"\xc3\x01\0"), ("ключ".encode(), None)]
    headers = [("trace", b"1"), ("trace", b"2"), ("empty", b""), ("null", None)]
    log.append(0, pairs, headers)
    log.append(0, [(b"k", b"no headers")])
    source.start({0: 0})
    [batch] = _until_ends(source, {0: 5})
    assert list(zip(batch.keys, batch.values, strict=True)) == [*pairs, (b"k", b"no headers")]
    assert [list(batch.headers(place)) for place in range(5)] == [headers] * 4 + [[]]
    assert [*batch.partitions] == [0] * 5


def test_timestamps_never_run_backwards(log: Log, source: Source) -> None:
    """They are the log's own, in milliseconds since the epoch."""
    log.append(0, [(b"k", b"1")])
    log.append(0, [(b"k", b"2")])
    source.start({0: 0})
    timestamps = [t for batch in _until_ends(source, {0: 2}) for t in batch.timestamps]
    assert 0 <= timestamps[0] <= timestamps[1] <= time.time_ns() // 1_000_000


@pytest.mark.parametrize("max_records", [1, 7, 100, 1000])
def test_a_fetch_holds_at_most_what_was_asked_for(
    log: Log, source: Source, max_records: int
) -> None:
    """No batch is larger, and together they are the log, nothing twice."""
    for partition in range(PARTITIONS):
        log.append(partition, [(b"k", b"v")] * 30)
    source.start(dict.fromkeys(range(PARTITIONS), 0))
    batches = _until_ends(source, dict.fromkeys(range(PARTITIONS), 30), max_records)
    assert max(map(len, batches)) <= max_records
    assert sorted(_places(batches)) == [(p, o) for p in range(PARTITIONS) for o in range(30)]


def test_an_empty_partition_has_its_end_where_it_starts(log: Log, source: Source) -> None:
    """A caller learns that there is nothing to wait for."""
    log.append(1, [(b"k", b"v")] * 3)
    source.start({0: 0, 1: 3})
    assert _until_ends(source, {0: 0, 1: 3}) == []


def test_ends_are_seen_again_after_new_records(log: Log, source: Source) -> None:
    """An end is the state of a moment: later records come, and a new end behind them."""
    source.start({0: 0})
    _until_ends(source, {0: 0})
    log.append(0, [(b"k", b"v")] * 2)
    assert _places(_until_ends(source, {0: 2})) == [(0, 0), (0, 1)]


def test_an_end_lies_behind_the_marks_of_transactions(log: Log, source: Source) -> None:
    """Marks take up offsets without a record; what was aborted is never handed over."""
    log.append_transaction(0, [(b"k", b"0"), (b"k", b"1")], commit=True)
    log.append_transaction(0, [(b"k", b"aborted")], commit=False)
    log.append(0, [(b"k", b"5")])
    log.append_transaction(0, [(b"k", b"aborted")], commit=False)
    assert source.watermarks(0) == Watermarks(low=0, high=8)
    source.start({0: 0})
    assert _places(_until_ends(source, {0: 8})) == [(0, 0), (0, 1), (0, 5)]


def test_a_paused_partition_gives_no_later_records(log: Log, source: Source) -> None:
    """What is appended after the pause stays in the log; other partitions go on."""
    log.append(0, [(b"k", b"before")])
    source.start({0: 0, 1: 0})
    _until_ends(source, {0: 1, 1: 0})
    source.pause([0])
    for _ in range(3):
        log.append(0, [(b"k", b"after")])
        log.append(1, [(b"k", b"other")])
    assert _places(_until_ends(source, {1: 3})) == [(1, 0), (1, 1), (1, 2)]


def test_a_paused_partition_that_is_started_again_goes_on(log: Log, source: Source) -> None:
    """From where it is started now, and with its end; others are not disturbed."""
    log.append(0, [(b"k", b"v")] * 3)
    log.append(1, [(b"k", b"v")] * 2)
    source.changes()
    source.start({0: 0, 1: 0})
    _until_ends(source, {0: 3, 1: 2})
    source.pause([0, 1])
    log.append(0, [(b"k", b"v")] * 2)
    source.start({0: 3})
    assert _places(_until_ends(source, {0: 5})) == [(0, 3), (0, 4)]
    source.start({0: 1, 1: 1})
    assert len(_places(_until_ends(source, {0: 5, 1: 2}))) == 5


def test_watermarks_follow_the_log(log: Log, source: Source) -> None:
    """They bound what there is, before anything is started."""
    assert source.watermarks(0) == Watermarks(low=0, high=0)
    log.append(0, [(b"k", b"v")] * 9)
    assert source.watermarks(0) == Watermarks(low=0, high=9)
    log.truncate(0, 4)
    assert source.watermarks(0) == Watermarks(low=4, high=9)
    assert source.watermarks(1) == Watermarks(low=0, high=0)


@pytest.mark.parametrize("next_offset", [0, 3, 10, 1000])
def test_a_start_outside_of_the_log_is_an_error(log: Log, source: Source, next_offset: int) -> None:
    """Nothing is skipped to go on: the error names partition, offset and what the log has."""
    log.append(2, [(b"k", b"v")] * 9)
    log.truncate(2, 4)
    source.start({2: next_offset})
    with pytest.raises(LogTruncatedError, match=r"^partition 2 of \S+ cannot") as caught:
        _until_ends(source, {2: 9})
    problem = "offsets {} to 3 were" if next_offset < 4 else "ends at 9, before .* position {};"
    assert caught.match(problem.format(next_offset))


@pytest.mark.parametrize("next_offset", [4, 9])
def test_a_start_at_the_bounds_of_the_log_is_right(
    log: Log, source: Source, next_offset: int
) -> None:
    """The low watermark is the first record there is; at the high one there will be one."""
    log.append(0, [(b"k", b"v")] * 9)
    log.truncate(0, 4)
    source.start({0: next_offset})
    assert _places(_until_ends(source, {0: 9})) == [(0, each) for each in range(next_offset, 9)]


def test_known_ends_are_the_high_watermarks_of_what_was_started(log: Log, source: Source) -> None:
    """Known after a fetch, without asking; never below the start, also when paused."""
    log.append(0, [(b"k", b"v")] * 5)
    log.append(1, [(b"k", b"v")] * 5)
    assert source.known_ends() == {}
    source.start({0: 0, 2: 0})
    _until_ends(source, {0: 5, 2: 0})
    assert source.known_ends() == {0: 5, 2: 0}
    source.pause([0])
    assert source.known_ends() == {0: 5, 2: 0}


def test_acknowledging_changes_nothing_that_is_read(log: Log, source: Source) -> None:
    """It is a courtesy: neither this source nor the next one starts anywhere else for it."""
    log.append(0, [(b"k", b"v")] * 4)
    source.start({0: 2})
    source.acknowledge({0: 4})
    assert _places(_until_ends(source, {0: 4})) == [(0, 2), (0, 3)]
    with closing(log.open()) as second:
        second.start({0: 1})
        assert _places(_until_ends(second, {0: 4})) == [(0, 1), (0, 2), (0, 3)]


def _until_ends(source: Source, ends: dict[int, int], max_records: int = 1000) -> list[RecordBatch]:
    """Fetch until just these ends were seen; return the batches that are not empty."""
    batches: list[RecordBatch] = []
    seen: dict[int, int] = {}
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while seen != ends:
        assert time.monotonic() < deadline, f"waited for the ends {ends}, saw {seen}"
        fetched = source.fetch(max_records, 0.1)
        seen |= fetched.ends
        if len(fetched.batch):
            batches.append(fetched.batch)
    return batches


def _places(batches: list[RecordBatch]) -> Places:
    return [
        place for batch in batches for place in zip(batch.partitions, batch.offsets, strict=True)
    ]


def _sorted(changes: Changes) -> tuple[list[int], list[int]]:
    return sorted(changes.assigned), sorted(changes.revoked)


def test_a_partition_that_was_started_can_be_started_anew(log: Log, source: Source) -> None:
    """Further on or back; also while it is paused, and while it is idle."""
    log.append(0, [(b"k", b"v")] * 20)
    source.start({0: 0})
    _until_ends(source, {0: 20})
    source.pause([0])
    source.start({0: 15})
    assert _places(_until_ends(source, {0: 20})) == [(0, offset) for offset in range(15, 20)]
    source.idle(0.05)
    source.start({0: 3})
    assert _places(_until_ends(source, {0: 20})) == [(0, offset) for offset in range(3, 20)]
