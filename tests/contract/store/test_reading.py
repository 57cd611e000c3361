"""Every store: what people and scripts ask it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.store import DeadLetter, Selection, SessionStore
from tests.contract.store.stores import KINDS, bound, letter, row
from tests.strategies import session_ids

each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@given(ids=st.sets(session_ids, max_size=8))
def test_states_are_in_the_order_of_the_ids_bytes(kind: str, ids: set[str]) -> None:
    """Not in that of UTF-16, of a language, or of arrival; then by partition."""
    with bound(kind) as store:
        rows = [row(each, partition) for partition in (2, 0) for each in ids]
        store.commit([], rows, [])
        found = [(state["session_id"], state["partition"]) for state in store.states()]
        by_bytes = sorted(ids, key=str.encode)
        assert found == [(each, partition) for each in by_bytes for partition in (0, 2)]


@each_kind
@given(ids=st.sets(session_ids, min_size=1, max_size=4))
def test_a_session_is_found_by_its_exact_id(kind: str, ids: set[str]) -> None:
    """In each partition it has events in; IDs that only look alike are others."""
    with bound(kind) as store:
        store.commit([], [row(each, partition) for each in ids for partition in (1, 0)], [])
        for each in ids:
            found = [(state["session_id"], state["partition"]) for state in store.get(each)]
            assert found == [(each, 0), (each, 1)]
        assert store.get("no such session") == []


@pytest.mark.parametrize("impossible", ["", "\udcff", "a\0b", "x" * 513])
def test_an_impossible_id_is_not_found(store: SessionStore, impossible: str) -> None:
    """A command line can hold bytes that no session ID can; that is no error of the store."""
    store.commit([], [row("a")], [])
    assert store.get(impossible) == []


def test_what_is_read_is_the_readers_own(store: SessionStore) -> None:
    """Changing it changes nothing in the store."""
    store.commit([], [row("a", task="kept", tags=["kept"])], [])
    for state in (*store.states(), *store.get("a"), *store.select(Selection())):
        state["task"] = "changed"
        state["tags"].append("changed")
    assert [(state["task"], state["tags"]) for state in store.states()] == [("kept", ["kept"])]


def test_a_listing_begins_with_what_was_heard_of_last(store: SessionStore) -> None:
    """Of equal times the ID's bytes decide, then the partition, so that pages are stable."""
    rows = [row("old", occurred_at=-5), row("é", occurred_at=9), row("z", 1, occurred_at=9)]
    store.commit([], [*rows, row("z", 0, occurred_at=9), row("new", occurred_at=10)], [])
    assert listed(store) == ["new", "z", "z", "é", "old"]
    assert [state["partition"] for state in store.select(Selection())] == [0, 0, 1, 0, 0]


def test_a_listing_tells_active_from_finished(store: SessionStore) -> None:
    """A session of which neither start nor end was heard is active."""
    rows = [row("finished", is_finished=True), row("open", is_finished=False), row("unknown")]
    store.commit([], rows, [])
    assert listed(store, status="finished") == ["finished"]
    assert listed(store, status="active") == ["open", "unknown"]
    assert listed(store, status="all") == ["finished", "open", "unknown"]


def test_a_listing_finds_the_stale(store: SessionStore) -> None:
    """Those whose last event is older than the bound, not those that are just at it."""
    store.commit([], [row(str(time), occurred_at=time) for time in (-1, 0, 1)], [])
    assert listed(store, last_occurred_before=0) == ["-1"]
    assert listed(store, last_occurred_before=-1) == []
    assert listed(store, last_occurred_before=2) == ["1", "0", "-1"]


@pytest.mark.parametrize(("limit", "found"), [(None, 3), (0, 0), (2, 2), (3, 3), (4, 3)])
def test_a_listing_has_a_limit(store: SessionStore, limit: int | None, found: int) -> None:
    """The first so many; None is without one, 0 is none."""
    store.commit([], [row(each) for each in "abc"], [])
    assert listed(store, limit=limit) == list("abc")[:found]


def test_conditions_of_a_listing_hold_together(store: SessionStore) -> None:
    """The limit counts what the other conditions leave."""
    rows = [row(f"{n}", is_finished=n % 2 == 0, occurred_at=n) for n in range(10)]
    store.commit([], rows, [])
    assert listed(store, status="finished", last_occurred_before=7, limit=2) == ["6", "4"]


def test_a_dead_letter_is_kept_once(store: SessionStore) -> None:
    """As it was first, also when it comes twice in one commit; of one partition and offset."""
    store.commit([], [], [letter(0, 5, detail="first"), letter(0, 5, detail="second")])
    store.commit([], [], [letter(0, 5, detail="third"), letter(1, 5, detail="other")])
    assert [each.detail for each in store.dead_letters()] == ["first", "other"]


def test_dead_letters_are_in_the_order_of_the_log(store: SessionStore) -> None:
    """By partition, then offset, as numbers."""
    places = [(1, 2), (0, 10), (0, 9), (1, 1)]
    store.commit([], [], [letter(*place) for place in places])
    found = [(each.partition, each.offset) for each in store.dead_letters()]
    assert found == sorted(places)


parts = st.none() | st.binary(max_size=40)


@each_kind
@given(
    kept=st.builds(
        DeadLetter,
        partition=st.integers(0, 1000),
        offset=st.integers(0, 2**62),
        timestamp=st.integers(-1, 2**62),
        key=parts,
        value=parts,
        headers=st.lists(st.tuples(st.text(max_size=8), parts), max_size=3).map(tuple),
        reason=st.sampled_from(["empty_value", "malformed"]),
        detail=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    )
)
def test_a_dead_letter_holds_all_that_kafka_had(kind: str, kept: DeadLetter) -> None:
    """Null and no bytes differ; headers keep their order and may repeat a name."""
    with bound(kind) as store:
        store.commit([], [], [kept])
        assert list(store.dead_letters()) == [kept]


def listed(store: SessionStore, **conditions: object) -> list[str]:
    """Return the IDs of a listing."""
    selection = Selection(**conditions)  # type: ignore[arg-type]
    return [state["session_id"] for state in store.select(selection)]
