"""Six deliberate faults in the service: each is caught, and without it the same run is clean."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sessionfold_consumer.errors import StoreUnusableError
from sessionfold_consumer.service import Service
from sessionfold_consumer.source import MemorySource
from sessionfold_consumer.verify import Report
from tests.faults import FAULTS
from tests.unit.consumer.conftest import event
from tests.unit.consumer.services import (
    PARTITIONS,
    FailingStore,
    InterruptedSource,
    Topic,
    bound,
    caught_up,
    new_service,
)
from tests.unit.consumer.verifying import assert_is_clean, new_verifier


class Run:
    """A log and a store in memory that are checked after every step, until they differ."""

    def __init__(self) -> None:
        self.topic, self.store = Topic(), bound(FailingStore())
        self._verifier = new_verifier(self.topic)
        self.report: Report = self._verifier.check(self.store)
        self._second = 0

    def append(self, *partitions: int) -> None:
        """Append an event of the partition's session to each of these partitions."""
        for partition in partitions:
            self._second += 1
            self.topic.append([event(partition, f"s{partition}", self._second, lost_before=1)])

    def step(self, service: Service, times: int = 3) -> None:
        """Let a service do some steps; what is found first stays."""
        for _ in range(times):
            service.step()
            self.check()

    def check(self) -> None:
        """Check the store, unless a difference was found already."""
        if self.report.is_clean:
            self.report = self._verifier.check(self.store)


def small_batches(run: Run) -> None:
    """Two records at a time, and one that comes at the end."""
    run.append(*range(PARTITIONS), 0, 0, 0, 0)
    service = new_service(MemorySource(run.topic.log), run.store, batch_records=2)
    run.step(service)
    run.append(0)
    run.step(service, 6)


def killed_in_mid_commit(run: Run) -> None:
    """The process ends when the store has just done what it was asked for; the next goes on."""
    run.append(*range(PARTITIONS))
    run.store.failures = ["after"]
    with pytest.raises(StoreUnusableError):
        run.step(new_service(MemorySource(run.topic.log), run.store))
    run.check()
    run.step(new_service(MemorySource(run.topic.log), run.store))


def zombie(run: Run) -> None:
    """A process is frozen with a batch in hand; another takes over, and then it goes on."""
    run.append(*range(PARTITIONS))
    source = InterruptedSource(run.topic.log)
    service = new_service(source, run.store)
    run.step(service, 1)
    source.while_fetching = lambda: run.step(new_service(MemorySource(run.topic.log), run.store))
    run.step(service)


def rebalance(run: Run) -> None:
    """A partition is taken while records of all of them are in hand; others come behind them."""
    run.append(*range(PARTITIONS))
    source = InterruptedSource(run.topic.log)
    service = new_service(source, run.store)
    run.step(service, 1)
    source.while_fetching = lambda: source.take([1])
    run.step(service)
    run.append(0, 2)
    run.step(service)
    source.give([1])
    run.step(service)


def bad_neighbours(run: Run) -> None:
    """Records that are no events, among good ones."""
    run.append(0)
    run.topic.append([(0, (b"s0", b"\xc3\x01 no event"))])
    run.append(0, 1)
    run.topic.append([(1, (b"s1", None)), (2, (b"s2", b""))])
    run.append(2)
    run.step(new_service(MemorySource(run.topic.log), run.store))


CASES: dict[str, tuple[Callable[[Run], None], set[str]]] = {
    "position_off_by_one": (small_batches, {"position", "state"}),
    "positions_apart": (killed_in_mid_commit, {"state"}),
    "no_fence": (zombie, {"state"}),
    "first_and_last_swapped": (small_batches, {"state"}),
    "batch_dropped_on_rebalance": (rebalance, {"state"}),
    "neighbour_spoiled": (bad_neighbours, {"state", "dead_letter"}),
}
"""For each fault what brings it to light, and the kinds of differences that it then makes."""


@pytest.mark.parametrize("name", CASES)
def test_a_planted_fault_is_caught(name: str) -> None:
    """By what it did to the store, in the run that brings it to light."""
    program, kinds = CASES[name]
    run = Run()
    with FAULTS[name](FailingStore):
        program(run)
    assert not run.report.is_clean
    assert {each.kind for each in run.report.differences} <= kinds


@pytest.mark.parametrize("name", CASES)
def test_its_twin_without_the_fault_is_clean(name: str) -> None:
    """So it is the fault that was caught; and all is folded in the end."""
    run = Run()
    CASES[name][0](run)
    assert_is_clean(run.report)
    assert caught_up(run.store, run.topic)
    assert run.report.records == len(run.topic.records)


def test_every_fault_has_its_case() -> None:
    """One that is added must be shown to be caught."""
    assert {*CASES} == {*FAULTS}
