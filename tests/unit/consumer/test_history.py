"""The history of a session: every record of its key, and the state after each."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.answers import History, Missing, SessionLog, read_session
from sessionfold_consumer.errors import LogCutError
from sessionfold_consumer.observer import Progress
from sessionfold_consumer.source import MemorySource
from tests import oracle
from tests.unit.consumer.answering import folded, history, session_log
from tests.unit.consumer.conftest import START, event
from tests.unit.consumer.services import Item, Topic, items, new_store
from tests.unit.consumer.verifying import advance, resolve


@given(st.lists(items, max_size=30))
def test_the_last_states_are_the_stores(appended: list[Item]) -> None:
    """Whatever else is in the log, and on however many partitions a session's events lie."""
    topic = Topic()
    topic.append(appended)
    store = folded(topic)
    for state in store.states():
        steps = history(topic, store, state["session_id"])
        own = [step for step in steps if step.record.partition == state["partition"]]
        assert [step.after for step in own if step.after is not None][-1] == state


@given(st.lists(items, max_size=30))
def test_each_state_is_the_fold_of_what_came_before(appended: list[Item]) -> None:
    """By the tests' own fold; each record of the session's key is there once, in log order."""
    topic = Topic()
    topic.append(appended)
    store = folded(topic)
    for state in store.states():
        name, partition = state["session_id"], state["partition"]
        records = [r for r in topic.records if r.partition == partition and r.key == name.encode()]
        steps = [s for s in history(topic, store, name) if s.record.partition == partition]
        assert [step.record.offset for step in steps] == [record.offset for record in records]
        for number, step in enumerate(steps, 1):
            result = oracle.fold(records[:number])
            assert step.after == result.states.get((name, partition))
            assert step.is_event == ((partition, step.record.offset) not in result.refused)


@given(st.data())
def test_what_became_of_dead_letters_is_told_in_their_places(data: st.DataObject) -> None:
    """Open and dropped ones change no state, retried ones do, though they were retried late."""
    topic, store = Topic(), new_store()
    topic.append([event(0, "a", second, task=f"task {second}") for second in range(5)])
    fatal = data.draw(st.sets(st.integers(0, 4), min_size=1, max_size=4))
    for offset in range(5):
        advance(store, topic, 0, records=1, fatal={0} if offset in fatal else set())
    fates = dict.fromkeys(range(5), "folded")
    for letter in list(store.dead_letters()):
        status: Any = data.draw(st.sampled_from(("open", "retried", "dropped")))
        fates[letter.offset] = "set_aside" if status == "open" else status
        if status != "open":
            assert resolve(store, letter, status)
    steps = history(topic, store, "a")
    assert {step.record.offset: step.fate for step in steps} == fates
    for state in store.states():
        assert steps[-1].after == state
    for step in steps:
        assert (step.reason is None) == step.is_event
        if not step.is_event:
            assert step.after == step.before


def test_only_the_sessions_part_of_the_log_is_read() -> None:
    """From its first offset to its last, in its own partition, and progress says so."""
    topic = Topic()
    for number in range(50):
        topic.append([event(0, "other", number), event(1, "other", number)])
    topic.append([event(1, "a", 1), event(1, "other", 50), event(1, "a", 2)])
    topic.append([event(1, "other", 60 + number) for number in range(50)])
    store = folded(topic)
    told: list[Progress] = []
    sources: list[MemorySource] = []

    def open_source(partitions: Any) -> MemorySource:  # noqa: ANN401 - a sequence of numbers
        sources.append(MemorySource(topic.log, partitions))
        return sources[-1]

    stored = read_session(store, "a")
    with SessionLog(open_source, stored, on_progress=told.append, settle_seconds=0) as log:
        assert [step.record.offset for step in History(log)] == [50, 52]
    assert [each.records for each in told] == [3]
    assert (told[-1].next_offsets, told[-1].ends) == ({1: 53}, {1: 53})
    [source] = sources
    assert source.known_ends().keys() == {1}


def test_what_the_log_no_longer_has_is_said_and_the_rest_is_shown() -> None:
    """The states are then those of the rest."""
    topic = Topic()
    topic.append([event(0, "a", second, task=f"task {second}") for second in range(4)])
    store = folded(topic)
    topic.log.truncate(0, 2)
    with session_log(topic, read_session(store, "a")) as log:
        assert log.missing == [Missing(0, 0, 2)]
        steps = list(History(log))
    assert [step.record.offset for step in steps] == [2, 3]
    assert steps[0].before is None
    assert steps[-1].after is not None
    assert (steps[-1].after["task"], steps[-1].after["event_count"]) == ("task 3", 2)


def test_all_of_a_session_may_be_gone() -> None:
    """Or behind the log's end, as after an election of a replica that was behind."""
    topic = Topic()
    topic.append([event(0, "a", 1), event(0, "b", 2), event(0, "b", 3)])
    store = folded(topic)
    topic.log.truncate(0, 3)
    with session_log(topic, read_session(store, "a")) as log:
        assert log.missing == [Missing(0, 0, 1)]
        assert list(History(log)) == []
    topic.log.truncate(0, 0)
    del topic.log.partitions[0][2:]
    with session_log(topic, read_session(store, "b")) as log:
        assert log.missing == [Missing(0, 2, 3)]
        assert [step.record.offset for step in History(log)] == [1]


def test_a_session_of_dead_letters_only_has_a_history() -> None:
    """From the store: the log is not read for it."""
    topic = Topic()
    topic.append([(0, (b"a", b"no event")), (2, (b"a", None)), event(1, "b", 1)])
    store = folded(topic)
    assert [(s.record[:2], s.fate, s.reason, s.after) for s in history(topic, store, "a")] == [
        ((0, 0), "set_aside", "not_single_object", None),
        ((2, 0), "set_aside", "empty_value", None),
    ]


def test_a_refused_record_that_the_store_does_not_list_is_told() -> None:
    """Store and log disagree; the history shows what the log has."""
    topic = Topic()
    topic.append([event(0, "a", 1), event(0, "a", 2), event(0, "a", 3)])
    store = folded(topic)
    broken = Topic()
    broken.append([event(0, "a", 1), (0, (b"a", b"no event")), event(0, "a", 3)])
    fates = [(step.fate, step.reason) for step in history(broken, store, "a")]
    assert fates == [("folded", None), ("refused", "not_single_object"), ("folded", None)]


def test_a_step_has_the_record_and_the_whole_event() -> None:
    """Kafka's time, the worker's, producer and sequence among it."""
    topic = Topic()
    topic.append([event(0, "a", 7, task="x", lost_before=3)])
    [step] = history(topic, folded(topic), "a")
    assert step.record == (0, 0, 0, b"a", topic.records[0].value)
    given = {name: value for name, value in step.event.items() if value is not None}
    assert given == {
        "session_id": "a",
        "occurred_at": START + 7_000_000,
        "producer_id": "p",
        "sequence": 7,
        "lost_before": 3,
        "task": "x",
    }


def test_records_that_are_deleted_while_they_are_read_are_an_error() -> None:
    """With a sentence about that, not about the service's position."""
    topic = Topic()
    topic.append([event(0, "a", second) for second in range(3)])
    with session_log(topic, read_session(folded(topic), "a")) as log:
        topic.log.truncate(0, 2)
        with pytest.raises(LogCutError, match="deleted from the log while they were read"):
            list(History(log))
