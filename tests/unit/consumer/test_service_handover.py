"""Two services that hand partitions to and fro over one store and one log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sessionfold_consumer.errors import FencedError
from sessionfold_consumer.service import Service
from sessionfold_consumer.source import Fetched, MemorySource
from tests.strategies import any_records, few_session_ids, good_records
from tests.unit.consumer.services import (
    PARTITIONS,
    InterruptedSource,
    Topic,
    assert_is_fold_of_its_prefix,
    caught_up,
    new_service,
    new_store,
)

_HOW = ("told", "told while fetching", "not told")

_partitions = st.integers(0, PARTITIONS - 1)
_members = st.sampled_from((0, 1))
_records = st.one_of(good_records(few_session_ids), any_records, st.none())
_appends = st.tuples(st.just("append"), st.lists(st.tuples(_partitions, _records), max_size=4))
_steps = st.tuples(st.just("step"), _members)
_crashes = st.tuples(st.just("restart"), _members)
_moves = st.tuples(st.sampled_from(_HOW), _partitions)


class Group:
    """Two members of a group over one store; each partition is one member's.

    A member that is fenced or crashes starts again with the partitions that are its own.
    """

    def __init__(self, batch_records: int) -> None:
        self.topic = Topic()
        self.store = new_store()
        self.batch_records = batch_records
        self.owners = dict.fromkeys(range(PARTITIONS), 0)
        self.sources: dict[int, InterruptedSource] = {}
        self.services: dict[int, Service] = {}
        self.restart(0)
        self.restart(1)

    def restart(self, member: int) -> None:
        """Start a member anew."""
        own = [each for each, owner in self.owners.items() if owner == member]
        source = self.sources[member] = InterruptedSource(self.topic.log, own)
        self.services[member] = new_service(source, self.store, batch_records=self.batch_records)

    def step(self, member: int) -> None:
        """Let a member do one step; if it is fenced, it starts again."""
        try:
            self.services[member].step()
        except FencedError:
            self.restart(member)

    def move(self, how: str, partition: int) -> None:
        """Give a partition to the other member; the one that has it may not hear of it."""
        loser = self.owners[partition]

        def hand_over() -> None:
            if self.owners[partition] == loser:
                self.sources[loser].take([partition])
                self._give(partition, 1 - loser)

        match how:
            case "told":
                hand_over()
            case "told while fetching":
                self.sources[loser].while_fetching = hand_over
            case _:
                self._give(partition, 1 - loser)

    def _give(self, partition: int, winner: int) -> None:
        # A member that had it before, and was not told, hears of its loss first.
        self.sources[winner].take([partition])
        self.sources[winner].give([partition])
        self.owners[partition] = winner

    def act(self, action: str, subject: Any) -> None:  # noqa: ANN401 - as the action needs it
        """Do one generated action."""
        match action:
            case "append":
                self.topic.append(subject)
            case "step":
                self.step(subject)
            case "restart":
                self.restart(subject)
            case _:
                self.move(action, subject)


@settings(max_examples=max(300, settings().max_examples))
@given(
    st.lists(st.one_of(_appends, _steps, _steps, _crashes, _moves), max_size=40),
    st.integers(1, 4),
)
def test_partitions_that_go_to_and_fro_are_folded_exactly_once(
    actions: list[tuple[str, Any]], batch_records: int
) -> None:
    """Told or not, in mid-batch, with crashes: always a prefix; in the end all, counts too."""
    group = Group(batch_records)
    for action, subject in actions:
        group.act(action, subject)
        assert_is_fold_of_its_prefix(group.store, group.topic)
    for _ in range(200):
        group.step(0)
        group.step(1)
        assert_is_fold_of_its_prefix(group.store, group.topic)
        if caught_up(group.store, group.topic):
            return
    pytest.fail("the group never caught up")


class StaleSource(MemorySource):
    """A source that hands over a partition's last record before it gives the partition."""

    def fetch(
        self,
        max_records: int,
        timeout_seconds: float = 0,
        is_wanted: Callable[[], bool] = lambda: False,
    ) -> Fetched:
        """Fetch; the first time, what an earlier assignment left behind."""
        if 1 in self._own:
            return super().fetch(max_records, timeout_seconds, is_wanted)
        self.start({1: 2})
        fetched = super().fetch(max_records, timeout_seconds, is_wanted)
        self.take([1])
        self.give([1])
        self._revoked = []
        return fetched


def test_records_from_before_an_assignment_are_dropped() -> None:
    """They lie behind the position that is taken over: what is between is folded first."""
    topic, store = Topic(), new_store()
    topic.append([(1, (b"a", b"x"))] * 3)
    service = new_service(StaleSource(topic.log, [0, 2]), store)
    for _ in range(5):
        service.step()
        assert_is_fold_of_its_prefix(store, topic)
    assert caught_up(store, topic)
