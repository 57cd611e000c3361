"""Explanations: the store's values, and the log's evidence for them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.answers import (
    Disagreement,
    Explanation,
    History,
    Missing,
    explain,
    explained_fields,
    read_session,
)
from sessionfold_consumer.state import State, public_columns
from tests.unit.consumer.answering import explained, folded, session_log
from tests.unit.consumer.conftest import SECOND, START, event
from tests.unit.consumer.services import PARTITIONS, Item, Topic, items

PLACES = {"session_id", "partition", "first_offset", "last_offset"}
"""What says where a session is; the rest is explained."""


@pytest.fixture
def topic() -> Topic:
    """A session of two producers with values that were replaced, and a record that is none."""
    topic = Topic()
    topic.append(
        [
            event(0, "a", 1, task="first", started_at=START, lost_before=2),
            event(0, "b", 2, task="another's"),
            event(0, "a", 3, task="second", session_eval=0.5, producer_id="q"),
            (0, (b"a", b"no event")),
            event(0, "a", 5, session_eval=0.5, started_at=START + SECOND, lost_before=1),
        ]
    )
    return topic


def by_field(topic: Topic) -> dict[str, Explanation]:
    """Explain all of session a."""
    return {each.field: each for each in explained(topic, folded(topic), "a").explanations}


def test_every_value_of_a_state_is_explained() -> None:
    """But the places that say where it is."""
    assert {*explained_fields()} == {*public_columns()} - PLACES


def test_a_value_has_its_record_and_the_one_it_replaced(topic: Topic) -> None:
    """Of each: place, Kafka's time, the worker's, producer and sequence."""
    task = by_field(topic)["task"]
    assert (task.value, task.times_given) == ("second", 2)
    assert task.set_by is not None
    assert (task.set_by.offset, task.set_by.timestamp, task.set_by.occurred_at) == (
        2,
        2,
        START + 3 * SECOND,
    )
    assert (task.set_by.producer_id, task.set_by.sequence) == ("q", 3)
    assert task.replaced is not None
    assert (task.replaced.value, task.replaced.set_by.offset) == ("first", 0)
    assert task.replaced.set_by.producer_id == "p"


def test_a_value_that_is_given_again_is_set_again(topic: Topic) -> None:
    """The record that set it is the last one, as the store has it."""
    score = by_field(topic)["session_eval"]
    assert score.set_by is not None
    assert score.replaced is not None
    assert (score.set_by.offset, score.replaced.set_by.offset) == (4, 2)


def test_the_first_value_of_a_first_field_stays(topic: Topic) -> None:
    """Later ones replace nothing, and are counted."""
    started = by_field(topic)["started_at"]
    assert started.set_by is not None
    assert (started.value, started.set_by.offset) == (START, 0)
    assert (started.replaced, started.times_given) == (None, 2)


def test_a_field_that_was_never_given_has_no_record(topic: Topic) -> None:
    """It is none of the store's defects."""
    never = by_field(topic)["ended_at"]
    assert never == Explanation(field="ended_at", value=None)


def test_the_ends_of_a_session_are_its_first_and_last_event(topic: Topic) -> None:
    """Which every event is a candidate for, whatever else it gives."""
    fields = by_field(topic)
    first, last = fields["first_occurred_at"], fields["last_occurred_at"]
    assert first.set_by is not None
    assert last.set_by is not None
    assert (first.set_by.offset, first.times_given, first.replaced) == (0, 3, None)
    assert (last.set_by.offset, last.times_given) == (4, 3)
    assert last.replaced is not None
    assert last.replaced.value == START + 3 * SECOND


def test_counts_and_sums_say_what_they_add_up(topic: Topic) -> None:
    """By producer, from which record to which; what adds nothing is not named."""
    fields = by_field(topic)
    count, lost = fields["event_count"], fields["lost_before"]
    shown = [
        [(p.producer_id, p.amount, p.first.offset, p.last.offset) for p in each.parts or ()]
        for each in (count, lost)
    ]
    assert (count.value, lost.value) == (3, 3)
    assert shown == [[("p", 2, 0, 4), ("q", 1, 2, 2)], [("p", 3, 0, 4)]]


def test_records_that_were_set_aside_are_counted(topic: Topic) -> None:
    """They are in no field."""
    assert explained(topic, folded(topic), "a").set_aside == 1


@given(st.lists(items, max_size=30), st.integers(0, 10))
def test_a_right_store_agrees_with_its_log(appended: list[Item], low: int) -> None:
    """However much of the log's start is gone by now."""
    topic = Topic()
    topic.append(appended)
    store = folded(topic)
    for partition in range(PARTITIONS):
        topic.log.truncate(partition, min(low, topic.ends()[partition]))
    for state in store.states():
        found = explained(topic, store, state["session_id"], state["partition"])
        assert found.disagreements == 0
        for each in found.explanations:
            assert each.value == state[each.field]
            assert each.set_by is None or each.set_by.is_known or found.missing


def damaged(topic: Topic, low: int = 0, **changes: Any) -> dict[str, Disagreement]:  # noqa: ANN401
    """Explain a state that was changed behind the service's back; return what differs.

    The log begins at ``low`` by then.
    """
    stored = read_session(folded(topic), "a")
    topic.log.truncate(0, low)
    state: State = stored.states[0] | changes
    with session_log(topic, replace(stored, states=[state])) as log:
        found = explain(state, History(log), log.missing)
    return {
        each.field: each.disagreement
        for each in found.explanations
        if each.disagreement is not None
    }


@pytest.mark.parametrize(
    ("changes", "field", "value", "offset"),
    [
        ({"task": "changed"}, "task", "second", 2),
        ({"task_offset": 4}, "task", "second", 2),
        ({"task": None, "task_offset": None}, "task", "second", 2),
        ({"ended_at": START, "ended_at_offset": 4}, "ended_at", None, None),
        ({"event_count": 4}, "event_count", 3, None),
        ({"lost_before": 0}, "lost_before", 3, None),
        ({"session_eval": True}, "session_eval", 0.5, 4),
    ],
)
def test_a_value_that_the_log_does_not_come_to_is_told(
    topic: Topic, changes: dict[str, Any], field: str, value: object, offset: int | None
) -> None:
    """With what the log comes to, for this field and no other."""
    assert damaged(topic, **changes) == {field: Disagreement(value=value, offset=offset)}


def test_where_the_log_is_gone_only_what_it_knows_is_judged(topic: Topic) -> None:
    """A later value in the log contradicts the store; a sum cannot be judged."""
    newer = {"task": Disagreement(value="second", offset=2)}
    assert damaged(topic, 2, task="first", task_offset=0) == newer
    topic.log.truncate(0, 0)
    assert damaged(topic, 2, task="changed", event_count=9) == newer


def test_a_record_that_is_gone_is_still_named(topic: Topic) -> None:
    """Its place is in the store; of it nothing else is known."""
    store = folded(topic)
    topic.log.truncate(0, 2)
    found = explained(topic, store, "a")
    assert (found.missing, found.disagreements) == ([Missing(0, 0, 2)], 0)
    [started] = [each for each in found.explanations if each.field == "started_at"]
    assert started.set_by is not None
    assert (started.set_by.offset, started.set_by.is_known) == (0, False)
