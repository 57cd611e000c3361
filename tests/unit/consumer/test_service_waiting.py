"""The service when broker or store are away for a while, or the topic is no longer the same."""

from __future__ import annotations

import pytest

from sessionfold_consumer import patience
from sessionfold_consumer import service as service_module
from sessionfold_consumer.errors import (
    BrokerUnreachableError,
    ConsumerError,
    LogTruncatedError,
    TopicChangedError,
    TopicMissingError,
)
from sessionfold_consumer.service import Checks
from sessionfold_consumer.source import MemorySource, Watermarks
from sessionfold_consumer.store import dump
from tests.unit.consumer.services import (
    ITEMS,
    FailingStore,
    Topic,
    assert_is_fold_of_its_prefix,
    bound,
    caught_up,
    new_service,
    new_store,
    next_offsets,
)


class Confirmation:
    """Sees each time whether the topic is still the store's, and fails as it is told."""

    def __init__(self) -> None:
        self.asked = 0
        self.errors: list[ConsumerError] = []

    def checks(self) -> Checks:
        """Return the service's checks, all of them this one."""
        return Checks(confirm=self, inspect=self)

    def __call__(self) -> None:
        """Raise what is due."""
        self.asked += 1
        if self.errors:
            raise self.errors.pop(0)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that waits for nothing before it tries again."""
    monkeypatch.setattr(patience, "_FIRST_SECONDS", 0.0)


def test_records_of_a_changed_topic_are_never_stored() -> None:
    """The topic is confirmed after the fetch: what was fetched from another one is dropped."""
    topic, store, confirm = Topic(), new_store(), Confirmation()
    topic.append(ITEMS)
    service = new_service(MemorySource(topic.log), store, checks=confirm.checks())
    service.step()
    confirm.errors = [TopicChangedError("created again")]
    before = list(dump(store))
    with pytest.raises(TopicChangedError):
        service.step()
    assert list(dump(store)) == before


def test_partitions_of_a_changed_topic_are_not_claimed() -> None:
    """Who folds the right topic is not fenced by one that reads another."""
    store, confirm = new_store(), Confirmation()
    confirm.errors = [TopicChangedError("created again")]
    with pytest.raises(TopicChangedError):
        new_service(MemorySource(Topic().log), store, checks=confirm.checks()).step()
    assert store.positions()[0].owner_epoch == 0


def test_a_topic_that_was_created_again_is_not_called_truncated() -> None:
    """Its log does not have the position either; the message is about the true cause."""
    topic, store, confirm = Topic(), new_store(), Confirmation()
    topic.append([(0, (b"a", b"x"))] * 3)
    service = new_service(
        MemorySource(topic.log),
        store,
        batch_records=1,
        checks=confirm.checks(),
    )
    service.step()
    topic.log.truncate(0, 2)
    confirm.errors = [TopicChangedError("created again")]
    with pytest.raises(TopicChangedError):
        service.step()
    confirm.errors = [BrokerUnreachableError("localhost:9092", 10.0, "timed out")]
    with pytest.raises(LogTruncatedError):
        service.step()


@pytest.mark.usefixtures("hurried")
def test_a_batch_in_hand_waits_for_broker_and_store() -> None:
    """The same batch is tried again until both are there, and is written once."""
    topic, store, confirm = Topic(), bound(FailingStore()), Confirmation()
    topic.append(ITEMS)
    service = new_service(MemorySource(topic.log), store, checks=confirm.checks())
    service.step()
    confirm.errors = [BrokerUnreachableError("localhost:9092", 10.0, "timed out")] * 2
    store.failures = ["busy", "busy"]
    for _ in range(5):
        service.step()
    assert confirm.asked == 1 + 5
    assert caught_up(store, topic)
    assert_is_fold_of_its_prefix(store, topic)


@pytest.mark.usefixtures("hurried")
def test_a_stop_ends_the_waiting_without_the_batch() -> None:
    """It is folded by the next run; nothing of it is in the store."""
    topic, store = Topic(), bound(FailingStore())
    topic.append(ITEMS)
    store.failures = ["busy"] * 3
    service = new_service(MemorySource(topic.log), store)
    service.run(lambda: len(store.failures) < 3)
    assert next_offsets(store) == {0: 0, 1: 0, 2: 0}
    new_service(MemorySource(topic.log), store, until=topic.ends()).run()
    assert_is_fold_of_its_prefix(store, topic)


def test_the_topic_is_confirmed_now_and_then_when_nothing_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A deleted topic is silent: it would be waited for without end."""
    monkeypatch.setattr(service_module, "_CONFIRM_SECONDS", 0.0)
    confirm = Confirmation()
    service = new_service(MemorySource(Topic().log), new_store(), checks=confirm.checks())
    service.step()
    confirm.errors = [
        BrokerUnreachableError("localhost:9092", 10.0, "timed out"),
        TopicMissingError("t"),
    ]
    service.step()
    with pytest.raises(TopicMissingError):
        service.step()


class UnreachableSource(MemorySource):
    """A source that cannot ask for watermarks for a while."""

    unreachable = 1

    def watermarks(self, partition: int) -> Watermarks:
        """Return the watermarks, or fail."""
        if partition == 2 and self.unreachable > 0:
            self.unreachable -= 1
            raise BrokerUnreachableError("localhost:9092", 10.0, "timed out")
        return super().watermarks(partition)


@pytest.mark.usefixtures("hurried")
def test_partitions_wait_for_a_broker_that_is_away() -> None:
    """They are claimed in a later step, those that were revoked meanwhile are not."""
    topic, store = Topic(), new_store()
    topic.append(ITEMS)
    source = UnreachableSource(topic.log)
    service = new_service(source, store)
    service.step()
    assert service.progress().next_offsets == {}
    source.take([0])
    service.step()
    service.step()
    assert next_offsets(store) == {0: 0, 1: 2, 2: 1}
    assert service.progress().next_offsets == {1: 2, 2: 1}
