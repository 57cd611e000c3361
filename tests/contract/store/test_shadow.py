"""Every store: the generation beside the live one, how the two are compared and switched."""

from __future__ import annotations

from contextlib import suppress

import pytest

from sessionfold_consumer.errors import FencedError, StoreUnusableError
from sessionfold_consumer.store import Range, SessionStore, ShadowStore
from tests.contract.store.stores import advance, letter, moved, row, shadow_of

EVERYTHING = {partition: Range(low=0, high=1_000) for partition in range(3)}


def test_a_new_store_has_an_empty_shadow(store: SessionStore, shadow: ShadowStore) -> None:
    """No positions, no states, no letters; and it says so."""
    assert store.info().shadow == "empty"
    assert (shadow.positions(), [*shadow.states()], [*shadow.dead_letters()]) == ({}, [], [])


def test_a_shadow_is_filled_beside_the_live_generation(
    store: SessionStore, shadow: ShadowStore
) -> None:
    """What is folded into it changes nothing that people read."""
    shadow.begin("the log", {0: 0, 1: 5, 2: 0}, [letter(2, 7, status="dropped")])
    assert (store.info().shadow, store.info().shadow_origin) == ("filling", "the log")
    held = shadow.claim([0, 1], "a rebuild")
    assert held[1].first_offset == 5
    shadow.commit([advance(held[0], 3)], [row("a", 0, 2, task="t")], [letter(0, 1)])
    assert store.get("a") == []
    assert [*store.dead_letters()] == []
    assert store.positions()[0].next_offset == 0
    assert shadow.get("a")[0]["task"] == "t"
    assert [(each.partition, each.status) for each in shadow.dead_letters()] == [
        (0, "open"),
        (2, "dropped"),
    ]


def test_a_shadow_begins_again_from_nothing(store: SessionStore, shadow: ShadowStore) -> None:
    """What an earlier rebuild folded is gone, gaps and letters too."""
    shadow.begin("one", {0: 0, 1: 0, 2: 0})
    held = shadow.claim([0, 1], "a rebuild")
    shadow.commit([advance(held[0], 3)], [row("a")], [letter(0, 1)])
    shadow.accept_gap(held[1], 4)
    shadow.begin("two", {0: 0, 1: 0, 2: 0})
    assert [*shadow.states(), *shadow.dead_letters(), *shadow.gaps()] == []
    assert {each.next_offset for each in shadow.positions().values()} == {0}
    assert store.info().shadow_origin == "two"
    shadow.empty()
    assert (store.info().shadow, store.info().shadow_origin) == ("empty", None)
    assert shadow.positions() == {}


def test_its_origin_can_be_noted_anew(store: SessionStore, shadow: ShadowStore) -> None:
    """When one part of the work is done."""
    shadow.begin("loading", {0: 0, 1: 0, 2: 0})
    shadow.note_origin("loaded")
    assert store.info().shadow_origin == "loaded"


def test_who_held_a_shadow_that_was_begun_again_is_fenced(
    store: SessionStore, shadow: ShadowStore
) -> None:
    """Also where the next offset is the same."""
    shadow.begin("one", {0: 0, 1: 0, 2: 0})
    held = shadow.claim([0], "a rebuild")[0]
    shadow.begin("two", {0: 0, 1: 0, 2: 0})
    shadow.claim([0], "another rebuild")
    with pytest.raises(FencedError):
        shadow.commit([advance(held, 1)], [row("a")], [])
    assert store.positions()[0].next_offset == 0


def filled(store: SessionStore, shadow: ShadowStore) -> None:
    """Fill both with the same two sessions, up to offset 10 of partition 0."""
    shadow.begin("the log", dict.fromkeys(range(3), 0))
    for each in (store, shadow):
        held = each.claim(range(3), "a test")
        rows = [row("a", 0, 2, task="t", session_eval=0.5, is_finished=False), row("b", 0, 9)]
        each.commit([advance(held[0], 10)], rows, [])


def test_the_same_fold_has_no_pairs(store: SessionStore, shadow: ShadowStore) -> None:
    """Values, nulls, booleans and offsets are the same."""
    filled(store, shadow)
    assert [*shadow.pairs(EVERYTHING)] == []


def test_a_value_that_differs_makes_a_pair(store: SessionStore, shadow: ShadowStore) -> None:
    """Live first; a session that only one of them has stands beside None."""
    filled(store, shadow)
    live, other = store.positions()[0], shadow.positions()[0]
    store.commit([advance(live, 11)], [row("a", 0, 10, task="live"), row("c", 0, 10)], [])
    shadow.commit([advance(other, 11)], [row("a", 0, 10, task="shadow"), row("d", 0, 10)], [])
    pairs = {
        (one or other_one or {})["session_id"]: (
            one and one["task"],
            other_one and other_one["task"],
        )
        for one, other_one in shadow.pairs(EVERYTHING)
    }
    assert pairs == {"a": ("live", "shadow"), "c": (None, None), "d": (None, None)}
    by_id = {(one or two or {})["session_id"]: (one, two) for one, two in shadow.pairs(EVERYTHING)}
    assert by_id["c"][1] is None
    assert by_id["d"][0] is None
    assert by_id["a"] == (store.get("a")[0], shadow.get("a")[0])


def test_only_sessions_within_the_ranges_are_compared(
    store: SessionStore, shadow: ShadowStore
) -> None:
    """By the last offset: those that live has gone on with are looked at later."""
    filled(store, shadow)
    store.commit([advance(store.positions()[0], 12)], [row("a", 0, 11)], [])
    assert [*shadow.pairs({0: Range(low=0, high=10)})] == []
    assert len([*shadow.pairs({0: Range(low=10, high=12)})]) == 1
    assert [*shadow.pairs({1: Range(low=0, high=12)})] == []


def test_a_switch_shows_the_shadow(store: SessionStore, shadow: ShadowStore) -> None:
    """Readers see the other generation, whole; what was live is kept."""
    filled(store, shadow)
    held = shadow.positions()[0]
    shadow.commit([advance(held, 12)], [row("new", 0, 11)], [letter(0, 10)])
    shadow.switch()
    assert (store.info().generation, store.info().shadow) == ("b", "kept")
    with store.snapshot():
        assert [each["session_id"] for each in store.states()] == ["a", "b", "new"]
        assert [each.offset for each in store.dead_letters()] == [10]
        assert store.positions()[0].next_offset == 12
    with shadow_of(store) as kept:
        assert [each["session_id"] for each in kept.states()] == ["a", "b"]


def test_a_switch_fences_who_holds_partitions(store: SessionStore, shadow: ShadowStore) -> None:
    """Also when its next offset and epoch are those of the other; a claim goes on in it."""
    filled(store, shadow)
    held, rebuilding = store.claim([0], "a service")[0], shadow.positions()[0]
    assert (held.next_offset, held.owner_epoch) == (10, rebuilding.owner_epoch)
    shadow.switch()
    with pytest.raises(FencedError):
        store.commit([advance(held, 11)], [row("late", 0, 10)], [])
    claimed = store.claim([0], "a service")[0]
    assert claimed.owner_epoch > max(held.owner_epoch, rebuilding.owner_epoch)
    store.commit([advance(claimed, 11)], [row("on", 0, 10)], [])
    assert [each["session_id"] for each in store.states()] == ["a", "b", "on"]


def test_a_switch_back_shows_what_was_kept(store: SessionStore, shadow: ShadowStore) -> None:
    """And fences again."""
    filled(store, shadow)
    shadow.switch()
    claimed = store.claim([0], "a service")[0]
    store.commit([advance(claimed, 11)], [row("on", 0, 10)], [])
    with shadow_of(store) as kept:
        kept.switch()
    assert store.info().generation == "a"
    with pytest.raises(FencedError):
        store.commit([advance(moved(claimed, 11), 12)], [row("late", 0, 11)], [])
    again = store.claim([0], "a service")[0]
    assert (again.next_offset, again.owner_epoch > claimed.owner_epoch) == (10, True)


def test_who_held_what_was_thrown_away_writes_to_no_shadow(
    store: SessionStore, shadow: ShadowStore
) -> None:
    """However often a rebuild claims a partition, and though it comes to the same offset."""
    filled(store, shadow)
    held = store.claim([0], "a service that is frozen from here on")[0]
    shadow.switch()
    with shadow_of(store) as begun:
        begun.empty()
        begun.begin("another log", {0: held.next_offset, 1: 0, 2: 0})
        for _ in range(held.owner_epoch + 2):
            claimed = begun.claim([0], "a rebuild")[0]
            assert claimed.owner_epoch > held.owner_epoch
    with suppress(FencedError):
        store.commit([advance(held, 11)], [row("late", 0, 10)], [])
    with shadow_of(store) as unharmed:
        assert unharmed.get("late") == []


def test_a_switch_forgets_how_often_rebuilds_were_ended(
    store: SessionStore, shadow: ShadowStore
) -> None:
    """Or a service would set the record aside that the killed ones came to, a good one."""
    filled(store, shadow)
    for _ in range(9):
        shadow.attempt([shadow.positions()[0]])
    shadow.switch()
    assert store.claim([0], "a service")[0].attempts == 0


def test_what_is_done_while_live_is_held_is_done_at_once(
    store: SessionStore, shadow: ShadowStore
) -> None:
    """Positions are those of live; a commit to the shadow and the switch are one transaction."""
    filled(store, shadow)
    held = shadow.positions()[0]
    with shadow.holding() as positions:
        assert positions == store.positions()
        shadow.commit([advance(held, 12)], [row("new", 0, 11)], [])
        shadow.switch()
    with store.snapshot():
        assert store.get("new")[0]["last_offset"] == 11


def test_what_fails_while_live_is_held_changes_nothing(
    store: SessionStore, shadow: ShadowStore
) -> None:
    """Neither states nor generation; the shadow goes on from where it was."""
    filled(store, shadow)
    held = shadow.positions()[0]

    def fail() -> None:
        with shadow.holding():
            shadow.commit([advance(held, 12)], [row("new", 0, 11)], [])
            shadow.switch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert (store.info().generation, store.info().shadow) == ("a", "filling")
    assert shadow.get("new") == []
    assert shadow.positions()[0] == held
    shadow.commit([advance(held, 12)], [row("new", 0, 11)], [])


def test_several_commits_while_live_is_held_are_each_merged_once(
    store: SessionStore, shadow: ShadowStore
) -> None:
    """Though they are one transaction: what the first has brought is not merged again."""
    filled(store, shadow)
    held = shadow.positions()[0]
    with shadow.holding():
        shadow.commit([advance(held, 11)], [row("a", 0, 10), row("b", 0, 9)], [])
        shadow.commit([advance(moved(held, 11), 12)], [row("a", 0, 11)], [])
    counts = {each["session_id"]: each["event_count"] for each in shadow.states()}
    assert counts == {"a": 3, "b": 2}


def test_a_first_commit_that_is_taken_back_can_be_done_again(
    store: SessionStore, shadow: ShadowStore
) -> None:
    """By the object that did it while live was held, whatever it had made for it."""
    shadow.begin("the log", dict.fromkeys(range(3), 0))
    held = shadow.claim([0], "a rebuild")[0]

    def fail() -> None:
        with shadow.holding():
            shadow.commit([advance(held, 12)], [row("new", 0, 11)], [])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    shadow.commit([advance(held, 12)], [row("new", 0, 11)], [])
    assert shadow.get("new")[0]["event_count"] == 1


def test_what_has_become_live_is_no_shadow_any_more(
    store: SessionStore, shadow: ShadowStore
) -> None:
    """Another process switched: nothing of the live generation is emptied or written."""
    filled(store, shadow)
    with shadow_of(store) as another:
        another.switch()
    for write in (
        shadow.empty,
        shadow.switch,
        lambda: shadow.begin("again", {0: 0}),
        lambda: shadow.note_origin("again"),
        lambda: shadow.claim([0], "a rebuild"),
    ):
        with pytest.raises(StoreUnusableError, match="another process has switched"):
            write()
    with store.snapshot():
        assert len([*store.states()]) == 2
