"""The service when it is fenced, answers are lost, records are lethal, or most of them are bad."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer import commit as commit_module
from sessionfold_consumer import patience
from sessionfold_consumer.breaker import Limits
from sessionfold_consumer.caution import FATAL_ATTEMPTS
from sessionfold_consumer.decode import Events, decode
from sessionfold_consumer.errors import (
    BreakerOpenError,
    BrokerUnreachableError,
    FencedError,
    LogTruncatedError,
    StoreBusyError,
    StoreUnusableError,
)
from sessionfold_consumer.records import RecordBatch
from sessionfold_consumer.service import Service
from sessionfold_consumer.source import MemorySource
from sessionfold_consumer.store import FATAL_REASON, Gap, MemoryShadow, MemoryStore, Position
from tests.unit.consumer.services import (
    ITEMS,
    FailingStore,
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


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that waits for nothing before it tries again."""
    monkeypatch.setattr(patience, "_FIRST_SECONDS", 0.0)


class CountingSource(MemorySource):
    """Counts what is asked of it."""

    idled = renewed = 0

    def idle(self, timeout_seconds: float) -> None:
        """Count."""
        self.idled += 1
        super().idle(timeout_seconds)

    def renew(self) -> None:
        """Count."""
        self.renewed += 1
        super().renew()


def test_a_fenced_service_asks_the_group_again_and_goes_on() -> None:
    """It drops what it holds; what is its own it claims again, and folds from there."""
    topic, store = Topic(), new_store()
    topic.append(ITEMS)
    source = CountingSource(topic.log)
    service = new_service(source, store)
    service.step()
    store.claim([1], "another")
    run(service, 3)
    assert source.renewed == 1
    assert caught_up(store, topic)
    assert_is_fold_of_its_prefix(store, topic)


def test_services_that_take_partitions_from_each_other_are_heard() -> None:
    """Two groups over one store: each fence is right, but nothing comes of it; it ends loudly."""
    topic, store = Topic(), new_store()
    service = new_service(MemorySource(topic.log), store)

    def contend() -> None:
        for _ in range(20):
            topic.append(ITEMS)
            service.step()
            store.claim([2], "another")

    with pytest.raises(FencedError, match="another process has taken over partition"):
        contend()
    assert_is_fold_of_its_prefix(store, topic)


def test_a_service_goes_on_after_each_switch() -> None:
    """However often: nobody else has its partitions, so it stays in its group and claims them."""
    topic, store = Topic(), new_store()
    source = CountingSource(topic.log, [0, 1])
    service = new_service(source, store)
    for turn in range(10):
        topic.append(ITEMS)
        run(service, 3)
        shadow = MemoryShadow(store)
        shadow.begin("a test", next_offsets(store))
        shadow.tables.dead_letters |= store.tables.dead_letters
        shadow.switch()
        if turn == 5:
            source.give([2])
            service.step()  # claims it in another generation than what is held
    run(service, 3)
    assert source.renewed == 0
    assert caught_up(store, topic)
    assert_is_fold_of_its_prefix(store, topic)


def test_a_bounded_run_ends_when_it_is_fenced() -> None:
    """It has no group to ask; who took its partitions goes on with them."""
    topic, store = Topic(), new_store()
    topic.append(ITEMS)
    service = new_service(MemorySource(topic.log), store, until=topic.ends())
    service.step()
    store.claim([1], "another")
    with pytest.raises(FencedError):
        service.step()


@given(
    st.lists(items, max_size=8),
    st.lists(st.sampled_from((None, "busy", "lost")), max_size=8),
    st.integers(1, 3),
)
def test_lost_answers_are_looked_up(
    appended: list[Item], failures: list[str | None], batch_records: int
) -> None:
    """Whether a commit was done or not is read from the positions: counts are exact, too."""
    topic, store = Topic(), bound(FailingStore())
    topic.append(appended)
    store.failures = list(failures)
    source = CountingSource(topic.log)
    service = new_service(source, store, batch_records=batch_records)
    for _ in range(60):
        service.step()
        assert_is_fold_of_its_prefix(store, topic)
    assert caught_up(store, topic)
    assert source.renewed == 0
    assert service.progress().records == len(topic.records)
    assert service.progress().dead_letters == len(list(store.dead_letters()))


class FailingClient(CountingSource):
    """A source whose client fails once while it stays in the group."""

    def idle(self, timeout_seconds: float) -> None:
        """Fail the first time."""
        super().idle(timeout_seconds)
        if self.idled == 1:
            raise BrokerUnreachableError("localhost:9092", 10.0, "the client failed")


def test_a_client_that_fails_while_the_store_is_away_is_made_anew() -> None:
    """What it was asked for makes no difference; the service goes on when the store does."""
    topic, store = Topic(), bound(FailingStore())
    topic.append(ITEMS)
    source = FailingClient(topic.log)
    service = new_service(source, store)
    store.failures = ["lost", "busy"]
    run(service, 6)
    assert source.renewed == 1
    assert caught_up(store, topic)
    assert_is_fold_of_its_prefix(store, topic)


class UnstartableSource(CountingSource):
    """A source whose client fails once when partitions are started."""

    def start(self, next_offsets: Mapping[int, int]) -> None:
        """Fail the first time."""
        if not self.renewed:
            raise BrokerUnreachableError("localhost:9092", 10.0, "the client failed")
        super().start(next_offsets)


def test_partitions_that_could_not_be_started_are_taken_over_again() -> None:
    """What is claimed is fetched: no partition stays behind without a word."""
    topic, store = Topic(), new_store()
    topic.append(ITEMS)
    source = UnstartableSource(topic.log)
    run(new_service(source, store), 4)
    assert source.renewed == 1
    assert caught_up(store, topic)


def test_a_partition_lost_while_the_store_is_away_is_dropped_from_the_batch() -> None:
    """The group goes on while the batch waits; only what is still held is written."""
    topic, store = Topic(), bound(FailingStore())
    topic.append(ITEMS)
    source = CountingSource(topic.log)
    service = new_service(source, store)
    store.failures = ["busy", "busy", "busy"]
    run(service, 3)
    source.take([1])
    run(service, 3)
    assert source.idled == 3
    assert next_offsets(store) == {0: 2, 1: 0, 2: 1}
    assert_is_fold_of_its_prefix(store, topic)


def test_a_waiting_service_says_so() -> None:
    """Whoever watches sees what is waited for, and when that is over."""
    topic, store = Topic(), bound(FailingStore())
    topic.append(ITEMS)
    service = new_service(MemorySource(topic.log), store)
    store.failures = ["busy"]
    run(service, 2)
    assert service.progress().waiting == "another process writes"
    run(service, 1)
    assert service.progress().waiting is None


class Died(BaseException):
    """Stands for a process that ends in the middle of decoding."""


_LETHAL = b"\xc3\x01lethal"


@pytest.fixture
def lethal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that a certain record is the end of."""

    def decode_or_die(batch: RecordBatch) -> Events:
        if _LETHAL in batch.values:
            raise Died
        return decode(batch)

    monkeypatch.setattr(commit_module, "decode", decode_or_die)


@pytest.mark.usefixtures("lethal")
@pytest.mark.parametrize("before", [0, 3, 100, 2_500])
def test_a_record_that_ends_processes_is_set_aside_undecoded(before: int) -> None:
    """With each death fewer are folded at a time, at last one; then just that one is set aside."""
    topic, store = Topic(), new_store()
    ordinary: list[Item] = [(0, (b"a", b"x"))]
    topic.append([*ordinary * before, (0, (b"a", _LETHAL)), *ordinary * 3])
    topic.append([(1, (b"b", b"y"))] * 3)
    deaths = 0
    while not caught_up(store, topic):
        try:
            run(new_service(MemorySource(topic.log), store), 20)
        except Died:
            deaths += 1
    letters = {(each.partition, each.offset): each for each in store.dead_letters()}
    assert len(letters) == before + 1 + 3 + 3
    assert [each.offset for each in letters.values() if each.reason == FATAL_REASON] == [before]
    assert letters[0, before].value == _LETHAL
    # The first one is not counted when it had committed before.
    assert deaths in (FATAL_ATTEMPTS, FATAL_ATTEMPTS + 1)


def test_a_service_that_finds_nothing_to_fold_makes_no_attempt() -> None:
    """However often it is restarted over an idle topic, its next record is decoded."""
    topic, store = Topic(), new_store()
    for _ in range(3 * FATAL_ATTEMPTS):
        run(new_service(MemorySource(topic.log), store), 2)
    assert store.positions()[0].attempts == 0


def test_mostly_bad_records_stop_the_service() -> None:
    """The batch that tells is not written; the store remembers why, and lets nobody go on."""
    topic, store = Topic(), new_store()
    topic.append([(0, (b"a", b"no event"))] * 2_000)
    service = new_service(MemorySource(topic.log), store, batch_records=400, limits=Limits())
    with pytest.raises(BreakerOpenError, match=r"1,200 records in a row"):
        run(service, 10)
    assert len(list(store.dead_letters())) == 800
    assert "were no valid events" in (store.info().stopped or "")


@pytest.mark.parametrize(
    ("accepted", "goes_on"),
    [
        ([Gap(partition=0, first=1, end=3)], True),
        ([Gap(partition=0, first=1, end=9)], True),
        ([Gap(partition=0, first=1, end=2)], False),
        ([Gap(partition=0, first=0, end=3)], False),
        ([Gap(partition=1, first=1, end=3)], False),
        ([], False),
    ],
)
def test_a_gap_is_passed_over_only_when_it_is_named(accepted: Sequence[Gap], goes_on: bool) -> None:
    """By partition, by the position, and up to the log's start; the store keeps it on record."""
    topic, store = Topic(), new_store()
    topic.append([(0, (b"a", b"x"))] * 5)
    run(new_service(MemorySource(topic.log), store, until={0: 1, 1: 0, 2: 0}), 3)
    topic.log.truncate(0, 3)
    service = new_service(MemorySource(topic.log), store, accepted=accepted)
    if not goes_on:
        with pytest.raises(LogTruncatedError, match=r"--accept-gap 0:1-2;"):
            run(service, 3)
        assert store.gaps() == []
        return
    run(service, 3)
    assert store.gaps() == [Gap(partition=0, first=1, end=3)]
    assert [letter.offset for letter in store.dead_letters()] == [0, 3, 4]


def run(service: Service, steps: int) -> None:
    """Let a service do some steps."""
    for _ in range(steps):
        service.step()


def test_a_store_without_failures_is_the_memory_store() -> None:
    """The stores of these tests add failures and nothing else."""
    assert isinstance(bound(FailingStore()), MemoryStore)


@pytest.mark.parametrize("failure", ["busy", "before"])
def test_attempts_of_processes_that_live_set_nothing_aside(failure: str) -> None:
    """A store that takes small writes and fails commits ends no process, however often."""
    topic, store = Topic(), bound(FailingStore())
    topic.append(ITEMS)
    for _ in range(FATAL_ATTEMPTS + 1):
        store.failures = [failure]
        with suppress(StoreUnusableError):
            run(new_service(MemorySource(topic.log), store), 2)
        assert store.failures == []
        assert {each.attempts for each in store.positions().values()} == {0}
    run(new_service(MemorySource(topic.log), store), 20)
    assert caught_up(store, topic)
    assert FATAL_REASON not in {each.reason for each in store.dead_letters()}


def test_what_could_not_be_taken_back_stays_counted() -> None:
    """The store is away: its process may end before it is back, and the next one is careful."""
    topic, store = Topic(), bound(SilentStore())
    topic.append(ITEMS)
    service = new_service(MemorySource(topic.log), store)
    store.failures = ["busy"]
    run(service, 2)
    assert sum(each.attempts for each in store.positions().values()) > 0
    assert service.progress().waiting is not None


class SilentStore(FailingStore):
    """A store that takes nothing back."""

    def spare(self, positions: Sequence[Position]) -> None:
        """Fail as a store that is away."""
        raise StoreBusyError("the server is away")
