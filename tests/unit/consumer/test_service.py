"""The service's loop: at any moment the store is the fold of a prefix of the log."""

from __future__ import annotations

import logging
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.errors import LogTruncatedError, StoreUnusableError
from sessionfold_consumer.observer import Progress
from sessionfold_consumer.source import MemorySource
from sessionfold_consumer.store import Advance, MemoryStore, dump
from tests.unit.consumer.services import (
    ITEMS,
    PARTITIONS,
    FailingStore,
    InterruptedSource,
    Item,
    Topic,
    assert_is_fold_of_its_prefix,
    bound,
    caught_up,
    items,
    new_service,
    new_store,
    next_offsets,
)

few_items = st.lists(items, max_size=8)


@given(st.lists(few_items, max_size=6), st.integers(1, 5))
def test_the_store_is_the_fold_of_a_prefix_after_every_step(
    appended: list[list[Item]], batch_records: int
) -> None:
    """Whatever is appended between the steps, and however small the batches are."""
    topic, store = Topic(), new_store()
    service = new_service(MemorySource(topic.log), store, batch_records=batch_records)
    for each in [*appended, []]:
        topic.append(each)
        service.step()
        assert_is_fold_of_its_prefix(store, topic)
    for _ in range(100):
        service.step()
        assert_is_fold_of_its_prefix(store, topic)
        if caught_up(store, topic):
            return
    pytest.fail(f"it never caught up: {next_offsets(store)} of {topic.ends()}")


@given(few_items, few_items, few_items, st.integers(1, 5))
def test_a_bounded_run_stops_exactly_at_its_end(
    before: list[Item], after: list[Item], during: list[Item], batch_records: int
) -> None:
    """Records behind the end stay in the log, and are not even fetched any more."""
    topic, store = Topic(), new_store()
    topic.append(before)
    until = topic.ends()
    topic.append(after)
    source = InterruptedSource(topic.log)
    source.while_fetching = lambda: topic.append(during)
    progress = new_service(source, store, batch_records=batch_records, until=until).run()
    assert next_offsets(store) == until == progress.next_offsets
    assert progress.lag == 0
    assert_is_fold_of_its_prefix(store, topic)
    topic.append([(partition, (b"a", b"x")) for partition in range(PARTITIONS)])
    assert len(source.fetch(100, 0).batch) == 0


def test_ends_behind_the_last_record_advance_the_position() -> None:
    """Marks of transactions have no record; the lag is gone nevertheless."""
    topic, store = Topic(), new_store()
    topic.append([(0, (b"a", b"x")), (0, None), (0, None), (1, None)])
    service = new_service(MemorySource(topic.log), store)
    service.step()
    service.step()
    assert next_offsets(store) == {0: 3, 1: 1, 2: 0}
    assert service.progress().lag == 0


def test_records_in_hand_of_a_revoked_partition_are_dropped() -> None:
    """What was fetched before the group took the partition is the next owner's to fold."""
    topic, store = Topic(), new_store()
    topic.append(ITEMS)
    source = InterruptedSource(topic.log)
    service = new_service(source, store)
    service.step()
    source.while_fetching = lambda: source.take([0, 2])
    service.step()
    assert next_offsets(store) == {0: 0, 1: 2, 2: 0}
    assert service.progress().next_offsets == {1: 2}
    assert_is_fold_of_its_prefix(store, topic)


def test_a_batch_of_a_partition_that_comes_back_in_the_same_step_is_right() -> None:
    """It is claimed again and read from the store's position, which another one has moved."""
    topic, store = Topic(), new_store()
    topic.append(ITEMS)
    source = InterruptedSource(topic.log)
    service = new_service(source, store)
    service.step()

    def lose_and_regain() -> None:
        source.take([0])
        topic.append([(0, (b"a", b"later"))])
        other = new_service(MemorySource(topic.log, [0]), store, batch_records=1)
        other.step()
        other.step()
        source.give([0])

    source.while_fetching = lose_and_regain
    service.step()
    assert next_offsets(store)[0] == 1
    service.step()
    assert caught_up(store, topic)
    assert len(list(store.dead_letters())) == 4
    assert_is_fold_of_its_prefix(store, topic)


def test_a_partition_that_goes_before_it_was_started_is_not_claimed() -> None:
    """Given and taken between two steps: the owner that has it by now is not fenced."""
    topic, store = Topic(), new_store()
    source = MemorySource(topic.log, [])
    service = new_service(source, store)
    source.give([1])
    source.take([1])
    service.step()
    assert store.positions()[1].owner_epoch == 0


def test_a_fenced_service_writes_nothing() -> None:
    """Another one has claimed a partition: not even other partitions' records are written."""
    topic, store = Topic(), new_store()
    topic.append(ITEMS)
    service = new_service(MemorySource(topic.log), store)
    service.step()
    new_service(MemorySource(topic.log, [1]), store).step()
    before = list(dump(store))
    service.step()
    assert list(dump(store)) == before
    assert service.progress().next_offsets == {}


@given(
    few_items,
    st.lists(st.sampled_from((None, "before", "after")), max_size=8),
    st.integers(1, 3),
)
def test_a_restart_after_a_failed_commit_is_right(
    appended: list[Item], failures: list[str | None], batch_records: int
) -> None:
    """Whether the commit was written or not: the next run goes on at the store's position."""
    topic, store = Topic(), bound(FailingStore())
    store.failures = failures
    topic.append(appended)
    for _ in range(len(failures) + 1):
        source = MemorySource(topic.log)
        service = new_service(source, store, batch_records=batch_records, until=topic.ends())
        with suppress(StoreUnusableError):
            service.run()
        assert_is_fold_of_its_prefix(store, topic)
    assert caught_up(store, topic)


def test_what_was_not_committed_is_not_acknowledged() -> None:
    """Kafka hears of a position only after the store has it."""
    topic, store = Topic(), bound(FailingStore())
    store.failures = ["before"]
    topic.append(ITEMS)
    source = MemorySource(topic.log)
    service = new_service(source, store)
    service.step()
    with pytest.raises(StoreUnusableError):
        service.step()
    assert source.acknowledged == {}
    again = MemorySource(topic.log)
    new_service(again, store, until=topic.ends()).run()
    assert again.acknowledged == topic.ends()


@pytest.mark.parametrize(("low", "position"), [(2, 1), (0, 6)])
def test_a_position_outside_of_the_log_is_an_error(low: int, position: int) -> None:
    """At the take-over, before anything of the batch is written; both ways."""
    topic, store = Topic(), new_store()
    topic.append([(0, (b"a", b"x"))] * 5)
    topic.log.truncate(0, low)
    move(store, 0, position)
    service = new_service(MemorySource(topic.log), store)
    with pytest.raises(LogTruncatedError, match="partition 0 of t cannot be continued"):
        service.step()
    assert next_offsets(store) == {0: position, 1: 0, 2: 0}


@pytest.mark.parametrize("position", [2, 5])
def test_a_position_at_the_bounds_of_the_log_goes_on(position: int) -> None:
    """At the low watermark is the next record, at the high one it will be."""
    topic, store = Topic(), new_store()
    topic.append([(0, (b"a", b"x"))] * 5)
    topic.log.truncate(0, 2)
    move(store, 0, position)
    new_service(MemorySource(topic.log), store, until=topic.ends()).run()
    assert [letter.offset for letter in store.dead_letters()] == list(range(position, 5))


def test_progress_is_told_after_each_step() -> None:
    """Records, dead letters, positions and ends of the partitions in hand."""
    topic, store, told = Topic(), new_store(), list[Progress]()
    topic.append([(0, (b"a", b"x")), (0, (b"a", b"x")), (1, None)])
    service = new_service(MemorySource(topic.log), store, batch_records=1, on_progress=told.append)
    for _ in range(4):
        service.step()
    assert [each.records for each in told] == [0, 1, 2, 2]
    assert [each.dead_letters for each in told] == [0, 1, 2, 2]
    assert [each.lag for each in told] == [3, 2, 1, 0]
    assert told[-1].next_offsets == told[-1].ends == {0: 2, 1: 1, 2: 0}


def test_a_stop_is_asked_for_between_batches() -> None:
    """The batch in hand is finished, and none is begun after the stop."""
    topic, store, told = Topic(), new_store(), list[Progress]()
    topic.append([(0, (b"a", b"x"))] * 5)
    service = new_service(MemorySource(topic.log), store, batch_records=1, on_progress=told.append)
    assert service.run(lambda: len(told) == 3).records == 2
    assert service.run(lambda: True).records == 2
    assert len(told) == 3


def test_logs_name_the_place_of_a_dead_letter_and_never_its_content(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Users' text stays out of logs, that of broken records, too."""
    topic, store = Topic(), new_store()
    topic.append([(1, (b"canary-key", b"canary-value"))])
    with caplog.at_level(logging.DEBUG):
        new_service(MemorySource(topic.log), store, until=topic.ends()).run()
    assert "partition 1 offset 0: not_single_object" in caplog.text
    assert "canary" not in caplog.text


def move(store: MemoryStore, partition: int, next_offset: int) -> None:
    """Bring a partition to a position, as an earlier run would have."""
    position = store.positions()[partition]
    store.commit([Advance(position=position, next_offset=next_offset)], [], [])
