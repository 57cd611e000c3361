"""Every store: which topic it belongs to, how far that is folded, and who may go on."""

from __future__ import annotations

import uuid
from dataclasses import replace

import pytest

import sessionfold_schemas as contract
from sessionfold_consumer.errors import FencedError, StoreUnusableError, TopicChangedError
from sessionfold_consumer.store import Position, SessionStore
from tests.contract.store.stores import IDENTITY, KINDS, advance, letter, moved, row


def test_a_new_store_says_what_it_is(new_store: SessionStore) -> None:
    """It is of the current contract, belongs to no topic yet, and has no position."""
    info = new_store.info()
    assert (info.contract_version, info.contract_digest) == (
        contract.current().version,
        contract.current().digest,
    )
    assert info.identity is None
    assert new_store.positions() == {}


def test_each_store_has_an_id_of_its_own(kind: str) -> None:
    """The consumer group is named by it, so that two stores never halve a topic between them."""
    with KINDS[kind]() as one, KINDS[kind]() as other:
        assert uuid.UUID(one.info().store_id) != uuid.UUID(other.info().store_id)
        assert one.info() == one.info()


def test_binding_ties_a_store_to_its_topic(new_store: SessionStore) -> None:
    """Each partition begins where the log does; none is owned."""
    new_store.bind(IDENTITY, {0: 0, 1: 7, 2: 0})
    assert new_store.info().identity == IDENTITY
    assert new_store.positions() == {
        partition: Position(partition=partition, next_offset=offset, owner_epoch=0)
        for partition, offset in {0: 0, 1: 7, 2: 0}.items()
    }


def test_binding_again_changes_nothing(store: SessionStore) -> None:
    """A log that has lost its beginning since must not move a position."""
    before = store.positions()
    store.bind(IDENTITY, {0: 99, 1: 99, 2: 99})
    assert (store.positions(), store.info().identity) == (before, IDENTITY)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"topic": "other"}, "built from the topic session-updates, not other"),
        ({"topic_id": "id-2"}, "its ID is id-2, the store's is id-1"),
        ({"partition_count": 4}, "has 4 partitions, the store was built from 3"),
    ],
)
def test_another_topic_is_refused(
    store: SessionStore, changes: dict[str, object], said: str
) -> None:
    """Offsets mean nothing in another log; the message says what differs and how to go on."""
    before = store.positions()
    with pytest.raises(TopicChangedError, match=said) as caught:
        store.bind(replace(IDENTITY, **changes), dict.fromkeys(range(4), 0))  # type: ignore[arg-type]
    assert "another --store" in str(caught.value)
    assert (store.positions(), store.info().identity) == (before, IDENTITY)


def test_a_claim_raises_the_epoch_of_what_it_takes(store: SessionStore) -> None:
    """And of nothing else; what it returns is what the store holds."""
    first = store.claim([0, 2], "one")
    second = store.claim([2], "two")
    assert {partition: each.owner_epoch for partition, each in first.items()} == {0: 1, 2: 1}
    assert second == {2: replace(first[2], owner_epoch=2)}
    assert (
        store.positions()
        == {0: first[0], 1: replace(first[0], partition=1, owner_epoch=0)} | second
    )


def test_a_claim_of_nothing_is_nothing(store: SessionStore) -> None:
    """A group may give a process no partition."""
    assert store.claim([], "one") == {}


def test_a_missing_position_is_damage(store: SessionStore) -> None:
    """It is said, not made up as 0; and no other partition of the claim is taken."""
    before = store.positions()
    with pytest.raises(StoreUnusableError, match="no position for partition 3"):
        store.claim([0, 3], "one")
    assert store.positions() == before


def test_a_commit_moves_the_positions_it_names(store: SessionStore) -> None:
    """The epoch stays, so the owner can go on from there."""
    held = store.claim([0, 1], "one")
    store.commit([advance(held[0], 5)], [], [])
    assert store.positions()[0] == moved(held[0], 5)
    assert store.positions()[1] == held[1]
    store.commit([advance(moved(held[0], 5), 6), advance(held[1], 1)], [], [])
    assert [store.positions()[partition].next_offset for partition in (0, 1, 2)] == [6, 1, 0]


def test_an_earlier_owner_is_fenced(store: SessionStore) -> None:
    """Once another has claimed the partition, though nothing was folded since."""
    zombie = store.claim([0, 1], "one")
    heir = store.claim([1], "two")
    with pytest.raises(FencedError) as caught:
        store.commit([advance(zombie[1], 5)], [], [])
    assert caught.value.partition == 1
    store.commit([advance(zombie[0], 5), advance(heir[1], 5)], [], [])


def test_a_position_that_has_moved_is_fenced(store: SessionStore) -> None:
    """The same records are never counted twice, whoever sends them."""
    held = store.claim([0], "one")
    store.commit([advance(held[0], 5)], [row(offset=4)], [])
    with pytest.raises(FencedError):
        store.commit([advance(held[0], 5)], [row(offset=4)], [])
    assert [state["event_count"] for state in store.states()] == [1]


def test_a_partition_moves_once_in_a_commit(store: SessionStore) -> None:
    """The second step starts where the partition no longer is."""
    held = store.claim([0], "one")
    with pytest.raises(FencedError):
        store.commit([advance(held[0], 5), advance(held[0], 6)], [], [])
    assert store.positions()[0] == held[0]


def test_a_partition_without_position_is_fenced(new_store: SessionStore) -> None:
    """A commit never makes a position."""
    never = Position(partition=0, next_offset=0, owner_epoch=0)
    with pytest.raises(FencedError):
        new_store.commit([advance(never, 1)], [], [])
    assert new_store.positions() == {}


def test_a_fenced_commit_leaves_nothing(store: SessionStore) -> None:
    """No state, no dead letter, no step of another partition, though these were all right."""
    held = store.claim([0, 1, 2], "one")
    store.commit([advance(held[0], 1)], [row("a", offset=0, task="kept")], [letter(0, 9)])
    before = (store.positions(), list(store.states()), list(store.dead_letters()))
    rows = [row("a", offset=2, task="lost"), row("b", partition=1)]
    with pytest.raises(FencedError):
        store.commit([advance(held[1], 3), advance(held[0], 3)], rows, [letter(1, 2)])
    assert (store.positions(), list(store.states()), list(store.dead_letters())) == before


def test_a_commit_that_breaks_leaves_nothing(store: SessionStore) -> None:
    """Whatever the reason, here a row that is too short, behind one that is right."""
    held = store.claim([0], "one")
    with pytest.raises((StoreUnusableError, ValueError)):
        store.commit([advance(held[0], 3)], [row("a"), row("b")[:-1]], [letter(0, 2)])
    assert store.positions()[0] == held[0]
    assert (list(store.states()), list(store.dead_letters())) == ([], [])
    store.commit([advance(held[0], 3)], [row("a"), row("b")], [])
    assert [state["session_id"] for state in store.states()] == ["a", "b"]
