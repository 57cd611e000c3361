"""Every store: what becomes of a dead letter, and that a late event takes its own place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.dead_letters import retry
from sessionfold_consumer.errors import NotFoundError
from sessionfold_consumer.store import LetterStatus, Position, SessionStore, dump
from tests.contract.store.stores import (
    KINDS,
    advance,
    bound,
    fill,
    letter,
    letters_of,
    moved,
    row,
    rows_of,
)
from tests.services.topics import StoredRecord
from tests.strategies import Cut, cuts, mixed_logs

each_kind = pytest.mark.parametrize("kind", KINDS)


@each_kind
@given(cut=cuts(mixed_logs), random=st.randoms(use_true_random=False))
def test_events_that_come_late_take_their_place(kind: str, cut: Cut, random: Random) -> None:
    """A program that refused too much, and a retry of that, come to the fold of all at once.

    By parts, in any order, and while it folds on: states with their offsets and counts, positions,
    and what still is no event. What was retried is listed as such.
    """
    log, batches = cut
    refused = {(each.partition, each.offset) for each in log if random.random() < 0.4}
    with bound(kind) as whole, bound(kind) as late:
        fill(whole, [log])
        held = late.claim([0, 1, 2], "an old program")
        for batch in batches:
            held |= fold_without(late, held, batch, refused)
            retry_some(late, random, 0.3)
        retry_some(late, random, 1)
        assert without_letters(late) == without_letters(whole)
        still_open = {(each.partition, each.offset) for each in whole.dead_letters()}
        assert {(each.partition, each.offset): each.status for each in late.dead_letters()} == {
            place: "open" if place in still_open else "retried" for place in still_open | refused
        }


def test_open_letters_are_counted_for_each_session(store: SessionStore) -> None:
    """By partition; not those that were resolved, nor those that belong to no session."""
    open_ones = [letter(0, offset, key=b"a") for offset in (5, 6)] + [letter(1, 5, key=b"a")]
    others = [letter(0, 7, key=None), letter(0, 8, key=b"\xff"), letter(2, 5, key=b"b")]
    store.commit([], [], [*open_ones, *others])
    store.resolve([others[-1]], "dropped")
    assert store.set_aside() == {("a", 0): 2, ("a", 1): 1}


def test_a_resolved_letter_stays_listed(store: SessionStore) -> None:
    """With all that Kafka had; only its status is another."""
    letters = [letter(0, 5), letter(0, 6, key=None), letter(1, 5)]
    store.commit([], [], letters)
    store.resolve([letters[1]], "dropped")
    store.resolve([letters[2], letters[0]], "retried")
    statuses: list[LetterStatus] = ["retried", "dropped", "retried"]
    assert list(store.dead_letters()) == [
        each._replace(status=status) for each, status in zip(letters, statuses, strict=True)
    ]


def test_only_an_open_letter_is_resolved(store: SessionStore) -> None:
    """A second retry would count its event twice; and of a refused call nothing is written."""
    letters = [letter(0, 5), letter(0, 6)]
    store.commit([], [], letters)
    store.resolve(letters[:1], "retried", [row(offset=5)])
    before = list(dump(store))
    for others in (letters, [letters[1], letter(2, 6)], [letters[1], letters[1]]):
        with pytest.raises(NotFoundError, match="no open dead letter"):
            store.resolve(others, "retried", [row("b", offset=6)])
        assert list(dump(store)) == before


def test_resolving_nothing_is_nothing(store: SessionStore) -> None:
    """As when none of those that were retried is a valid event."""
    before = list(dump(store))
    store.resolve([], "retried")
    assert list(dump(store)) == before


def test_an_old_value_never_wins(store: SessionStore) -> None:
    """The late event is older than what is there: it fills what nothing newer has given."""
    held = store.claim([0], "one")
    set_aside = letter(0, 5)
    newer = row("a", offset=9, task="new")
    store.commit([advance(held[0], 10)], [newer], [set_aside])
    store.resolve([set_aside], "retried", [row("a", offset=5, task="old", session_name="N")])
    (state,) = store.get("a")
    assert (state["task"], state["task_offset"]) == ("new", 9)
    assert (state["session_name"], state["session_name_offset"]) == ("N", 5)
    assert (state["first_offset"], state["last_offset"], state["event_count"]) == (5, 9, 2)


def test_a_service_goes_on_beside_a_retry(store: SessionStore) -> None:
    """No position is moved by it and nobody is fenced."""
    held = store.claim([0], "one")
    set_aside = letter(0, 5)
    store.commit([advance(held[0], 6)], [], [set_aside])
    before = store.positions()
    store.resolve([set_aside], "retried", [row(offset=5)])
    assert store.positions() == before
    store.commit([advance(moved(held[0], 6), 7)], [row(offset=6)], [])
    assert [state["event_count"] for state in store.states()] == [2]


def test_a_record_that_is_set_aside_again_keeps_its_fate(store: SessionStore) -> None:
    """A batch that is committed again after a crash does not open what a person has closed."""
    set_aside = letter(0, 5)
    store.commit([], [], [set_aside])
    store.resolve([set_aside], "dropped")
    store.commit([], [], [set_aside])
    assert [each.status for each in store.dead_letters()] == ["dropped"]


@pytest.mark.parametrize("status", ["retried", "dropped"])
def test_a_letter_may_come_with_its_fate(store: SessionStore, status: str) -> None:
    """As a rebuild brings it, which copies what was decided before."""
    decided = letter(0, 5, status=status)
    store.commit([], [], [decided])
    assert list(store.dead_letters()) == [decided]
    with pytest.raises(NotFoundError):
        store.resolve([decided], "dropped")


def fold_without(
    store: SessionStore,
    held: Mapping[int, Position],
    batch: Sequence[StoredRecord],
    refused: Set[tuple[int, int]],
) -> dict[int, Position]:
    """Fold a batch as a program that also refuses some places, for a reason of its own."""
    wrongly = [each for each in batch if (each.partition, each.offset) in refused]
    folded = [each for each in batch if each not in wrongly]
    letters = [
        letter(each.partition, each.offset, key=each.key, value=each.value) for each in wrongly
    ]
    reached = {each.partition: each.offset + 1 for each in batch}
    advances = [advance(held[partition], offset) for partition, offset in reached.items()]
    store.commit(advances, rows_of(folded), [*letters, *letters_of(folded)])
    return {each.position.partition: each.moved() for each in advances}


def retry_some(store: SessionStore, random: Random, part: float) -> None:
    """Retry a part of the open letters, in random order, each call some of them."""
    letters = [each for each in store.dead_letters() if each.status == "open"]
    random.shuffle(letters)
    chosen = [each for each in letters if random.random() < part]
    edges = [0, *(at for at in range(1, len(chosen)) if random.random() < 0.3), len(chosen)]
    for start, end in pairwise(edges):
        again = retry(chosen[start:end])
        store.resolve(again.accepted, "retried", again.rows)


def without_letters(store: SessionStore) -> list[str]:
    """Return a dump without what was set aside."""
    return [line for line in dump(store) if not line.startswith('{"kind":"dead_letter"')]
