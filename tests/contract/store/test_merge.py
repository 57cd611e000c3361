"""Every store: what is kept of a log does not depend on how it was handed over."""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sessionfold_schemas as contract
from sessionfold_consumer.state import State, state_columns
from sessionfold_consumer.store import SessionStore, dump
from tests import oracle
from tests.contract.store.stores import KINDS, bound, fill, row, rows_of
from tests.strategies import Cut, Log, cuts, logs, mixed_logs, stored

COUNTS = [column.name for column in state_columns() if column.merge == "add"]

REQUIRED = {"occurred_at": 7, "producer_id": "p", "sequence": 0, "lost_before": 0}

each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@given(cut=cuts(mixed_logs))
def test_batches_come_to_the_plain_fold(kind: str, cut: Cut) -> None:
    """States with their offsets and counts, positions, and the records that were refused."""
    log, batches = cut
    expected = oracle.fold(log)
    ends = dict.fromkeys(range(3), 0) | {each.partition: each.offset + 1 for each in log}
    with bound(kind) as store:
        fill(store, batches)
        assert as_text(store.states()) == as_text(oracle.ordered(expected.states))
        refused = {(each.partition, each.offset): each.reason for each in store.dead_letters()}
        assert refused == expected.refused
        assert {p: each.next_offset for p, each in store.positions().items()} == ends


@each_kind
@given(cut=cuts(logs()), random=st.randoms(use_true_random=False))
def test_rows_may_come_in_any_order(kind: str, cut: Cut, random: Random) -> None:
    """The offset beside each value says which of two is the newer, not the order of merging."""
    log, batches = cut
    random.shuffle(batches)
    with bound(kind) as store:
        for batch in batches:
            store.commit([], rows_of(batch), [])
        assert as_text(store.states()) == as_text(expected_states(log))


@each_kind
@given(cut=cuts(logs()), data=st.data())
def test_rows_merged_again_change_no_field(kind: str, cut: Cut, data: st.DataObject) -> None:
    """Only what adds up, and that the positions guard, would see the repetition."""
    log, batches = cut
    again = data.draw(st.lists(st.sampled_from(batches), max_size=4))
    with bound(kind) as store:
        for batch in batches + again:
            store.commit([], rows_of(batch), [])
        assert without_counts(store.states()) == without_counts(expected_states(log))


@given(cut=cuts(mixed_logs), other_cut=st.data())
def test_every_store_dumps_the_same_bytes(cut: Cut, other_cut: st.DataObject) -> None:
    """Of one log, in whatever batches, from whatever kind of store."""
    log, batches = cut
    _, other_batches = other_cut.draw(cuts(st.just(log)))
    dumps = set()
    for kind in KINDS:
        for each in (batches, other_batches):
            with bound(kind) as store:
                fill(store, each)
                dumps.add("\n".join(dump(store)))
    assert len(dumps) == 1


def test_large_batches_of_few_fields_come_to_the_plain_fold(store: SessionStore) -> None:
    """Of each its own fields, some of sessions that are new and some of others; and a small one."""
    sizes_and_fields: list[tuple[int, dict[str, Any]]] = [
        (1_500, {"task": "one", "started_at": 5}),
        (2_345, {"session_eval": 0.5}),
        (2_500, {}),
        (3, {"session_name": "late"}),
        (1_200, {"task": "two", "is_finished": True}),
    ]
    log: Log = []
    batches: list[Log] = []
    for size, fields in sizes_and_fields:
        batches.append([])
        for offset, name in enumerate((f"session {number}" for number in range(size)), len(log)):
            event = REQUIRED | fields | {"session_id": name}
            batches[-1].append(stored(0, offset, name.encode(), contract.encode(event)))
        log += batches[-1]
    fill(store, batches)
    assert as_text(store.states()) == as_text(expected_states(log))


def test_two_rows_of_a_session_in_one_commit_are_merged(store: SessionStore) -> None:
    """Whoever calls may split as it likes; a row is never lost to another of the same batch."""
    store.commit([], [row(offset=1, task="new"), row(offset=0, task="old", started_at=5)], [])
    (state,) = store.states()
    assert (state["task"], state["task_offset"], state["started_at"]) == ("new", 1, 5)
    assert (state["first_offset"], state["last_offset"], state["event_count"]) == (0, 1, 2)


def test_values_come_back_as_they_went_in(store: SessionStore) -> None:
    """Types, too: bools are bools, whole numbers of doubles are floats; nothing is rounded."""
    given_values: dict[str, Any] = {
        "session_name": "zwölf \U0001f642 \u2028\r\n\t\x7f 'quoted' \"too\"",
        "task": "",
        "session_eval": 5e-324,
        "session_eval_reason": "x" * 70_000,
        "is_successful": False,
        "is_finished": True,
        "started_at": -62_135_596_800_000_000,
        "ended_at": 253_402_300_799_999_999,
        "tags": ["", "zwölf \U0001f642 \u2028\r\n\t\x7f", "'quoted' \"too\"", "{}", "NULL", ",\\"],
    }
    other = row("b", session_eval=1e15, tags=[], offset=2**62)
    store.commit([], [row("a", **given_values), other], [])
    first, second = store.states()
    assert {name: repr(first[name]) for name in given_values} == {
        name: repr(value) for name, value in given_values.items()
    }
    assert (repr(second["session_eval"]), second["last_offset"]) == ("1000000000000000.0", 2**62)
    assert (second["tags"], first["agent_id"]) == ([], None)
    assert first["is_successful_reason"] is None


def expected_states(log: Log) -> list[State]:
    """Return the plain fold's states in order."""
    return oracle.ordered(oracle.fold(log).states)


def as_text(states: Iterable[State]) -> list[str]:
    """Return states as text, in which 0.0 and -0.0, 1 and True differ."""
    return [repr(state) for state in states]


def without_counts(states: Iterable[State]) -> list[str]:
    """Return states as text, with the columns left out that add up."""
    return [repr({k: v for k, v in each.items() if k not in COUNTS}) for each in states]
