"""The service while a batch is being stored: what it does beside that, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

import pytest

from sessionfold_consumer.background import one_thread
from sessionfold_consumer.errors import StoreUnusableError
from sessionfold_consumer.source import MemorySource
from sessionfold_consumer.store import MemoryStore
from tests.pending import Pending
from tests.unit.consumer.services import (
    FailingStore,
    Item,
    Topic,
    assert_is_fold_of_its_prefix,
    bound,
    caught_up,
    new_service,
    new_store,
    next_offsets,
)

P = ParamSpec("P")
T = TypeVar("T")

RECORD = (b"a", b"no event")


class Slow(Executor):
    """Takes calls and does none before it is waited for."""

    def submit(self, call: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Take a call."""
        return Pending(lambda: call(*arguments, **named))


class Renewals(MemorySource):
    """A source that counts how often it was made anew."""

    renewals = 0

    def renew(self) -> None:
        """Count it."""
        self.renewals += 1
        super().renew()


def slow_service(topic: Topic, store: MemoryStore, **further: Any) -> tuple[Any, Renewals]:  # noqa: ANN401
    """Return a service whose commits are slow, and its source, with all partitions taken over."""
    source = Renewals(topic.log)
    service = new_service(source, store, background=Slow(), **further)
    service.step()
    return service, source


def of(*partitions: int) -> list[Item]:
    """Return a record for each of these partitions."""
    return [(partition, RECORD) for partition in partitions]


def test_the_next_batch_is_fetched_while_one_is_being_stored() -> None:
    """And stored after it, in order; until then the store has nothing of it."""
    topic, store = Topic(), new_store()
    service, _ = slow_service(topic, store, batch_records=2)
    topic.append(of(0, 0, 0, 0))
    service.step()
    assert next_offsets(store)[0] == 0
    service.step()
    assert next_offsets(store)[0] == 2
    service.step()
    assert caught_up(store, topic)
    assert_is_fold_of_its_prefix(store, topic)


@pytest.mark.parametrize("failure", ["busy", "lost"])
def test_what_was_folded_ahead_of_a_failure_is_folded_again(failure: str) -> None:
    """When the batch before was not stored, or nobody knew that it was."""
    topic, store = Topic(), bound(FailingStore())
    now = [0.0]
    service, _ = slow_service(topic, store, batch_records=2, clock=lambda: now[0])
    topic.append(of(0, 0, 0, 0, 0))
    store.failures = [failure]
    for _ in range(8):
        service.step()
        now[0] += 1
        assert_is_fold_of_its_prefix(store, topic)
    assert caught_up(store, topic)


@pytest.mark.parametrize("heir_is_first", [True, False])
def test_a_partition_may_go_while_its_records_are_being_stored(heir_is_first: bool) -> None:
    """The batch is stored or refused as a whole; the other partition's part is, in the end."""
    topic, store = Topic(), new_store()
    service, source = slow_service(topic, store)
    topic.append(of(0, 1))
    service.step()
    source.take([1])
    if heir_is_first:
        store.claim([1], "heir")
    for _ in range(3):
        service.step()
        assert_is_fold_of_its_prefix(store, topic)
    assert next_offsets(store) == {0: 1, 1: 0 if heir_is_first else 1, 2: 0}
    assert source.renewals == 0


def test_a_partition_is_taken_over_after_what_is_in_hand_was_stored() -> None:
    """Also when more is in hand than is being stored."""
    topic, store = Topic(), new_store()
    service, source = slow_service(topic, store, batch_records=1)
    topic.append(of(0, 0, 1))
    source.take([1])
    service.step()
    source.give([1])
    service.step()
    assert next_offsets(store) == {0: 2, 1: 0, 2: 0}
    service.run(lambda: caught_up(store, topic))
    assert_is_fold_of_its_prefix(store, topic)


def test_a_run_ends_with_what_is_being_stored() -> None:
    """It is not left to chance whether that is done."""
    topic, store = Topic(), new_store()
    service, _ = slow_service(topic, store)
    topic.append(of(0, 1))
    service.step()
    assert service.run(lambda: True).records == 2
    assert caught_up(store, topic)


def test_a_run_may_end_with_what_could_not_be_stored() -> None:
    """It is as if the process had ended a little before; the next one folds it."""
    topic, store = Topic(), bound(FailingStore())
    service, _ = slow_service(topic, store)
    topic.append(of(0))
    store.failures = ["busy"]
    service.step()
    assert service.run(lambda: True).records == 0
    new_service(MemorySource(topic.log), store).run(lambda: caught_up(store, topic))
    assert_is_fold_of_its_prefix(store, topic)


def test_what_makes_a_store_unusable_is_heard_in_the_loop() -> None:
    """It ends the service as it would without a thread."""
    topic, store = Topic(), bound(FailingStore())
    service, _ = slow_service(topic, store)
    topic.append(of(0))
    store.failures = ["before"]
    service.step()
    with pytest.raises(StoreUnusableError, match="disk is full"):
        service.run(lambda: True)


def test_a_thread_does_one_call_after_the_other() -> None:
    """In the order that they were given in, and beside the caller."""
    done: list[int] = []
    with one_thread() as background:
        futures = [background.submit(done.append, number) for number in range(100)]
    assert done == list(range(100))
    assert all(future.done() for future in futures)
