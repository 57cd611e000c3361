"""Every store: what is kept beside the fold: attempts, gaps, and a service that stopped itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sessionfold_consumer.errors import FencedError
from sessionfold_consumer.store import Gap, Position, SessionStore
from tests.contract.store.stores import IDENTITY, advance, letter, moved, row


def attempts(store: SessionStore) -> dict[int, int]:
    """Return each partition's attempts."""
    return {partition: each.attempts for partition, each in store.positions().items()}


def test_an_attempt_is_counted_where_it_is_made(store: SessionStore) -> None:
    """At the partitions that are about to be folded, each time, and at no other."""
    held = store.claim([0, 1], "one")
    store.attempt([held[0], held[1]])
    store.attempt([held[0]])
    assert attempts(store) == {0: 2, 1: 1, 2: 0}
    assert store.positions() == held | {2: store.positions()[2]}


def test_an_attempt_may_count_for_more(store: SessionStore) -> None:
    """Than the stored ones: for those of processes that ended a little before. Never for fewer."""
    held = store.claim([0, 1], "one")
    store.attempt([replace(held[0], attempts=3)])
    assert attempts(store) == {0: 4, 1: 0, 2: 0}
    store.attempt([held[0]])
    assert attempts(store) == {0: 5, 1: 0, 2: 0}


def test_an_heir_sees_the_attempts_of_the_dead(store: SessionStore) -> None:
    """That is what they are counted for: who claims a position learns how often it was fatal."""
    for number in range(3):
        held = store.claim([0], f"process {number}")
        assert held[0].attempts == number
        store.attempt([held[0]])


def test_a_commit_ends_the_count(store: SessionStore) -> None:
    """Of the partition that it moves."""
    held = store.claim([0, 1], "one")
    store.attempt([*held.values()])
    store.commit([advance(held[0], 5)], [], [])
    assert attempts(store) == {0: 0, 1: 1, 2: 0}


def test_a_zombie_counts_nothing(store: SessionStore) -> None:
    """An attempt is fenced as a commit is, and all of it."""
    zombie = store.claim([0, 1], "one")
    store.claim([1], "two")
    with pytest.raises(FencedError) as caught:
        store.attempt([zombie[0], zombie[1]])
    assert caught.value.partition == 1
    store.commit([advance(zombie[0], 1)], [], [])
    with pytest.raises(FencedError):
        store.attempt([zombie[0]])
    assert attempts(store) == {0: 0, 1: 0, 2: 0}


def test_where_the_fold_began_is_kept(new_store: SessionStore) -> None:
    """It is what ``verify`` folds from, whatever is folded, claimed or skipped later."""
    new_store.bind(IDENTITY, {0: 0, 1: 7, 2: 0})
    held = new_store.claim([1], "one")
    new_store.commit([advance(held[1], 9)], [], [])
    new_store.accept_gap(moved(held[1], 9), 20)
    assert [each.first_offset for _, each in sorted(new_store.positions().items())] == [0, 7, 0]
    assert held[1].first_offset == 7


def test_a_gap_is_stepped_over_and_kept(store: SessionStore) -> None:
    """What it returns is the position to go on from."""
    held = store.claim([0], "one")
    store.attempt([held[0]])
    over = store.accept_gap(held[0], 12)
    assert over == store.positions()[0] == moved(held[0], 12)
    assert store.positions()[0].attempts == 0
    assert store.gaps() == [Gap(partition=0, first=0, end=12)]
    store.commit([advance(over, 15)], [row(offset=14)], [])


def test_gaps_are_in_the_order_of_the_log(store: SessionStore) -> None:
    """By partition, then offset, as numbers; not in that of acceptance."""
    held = store.claim([0, 1], "one")
    store.accept_gap(held[1], 5)
    over = store.accept_gap(held[0], 9)
    store.commit([advance(over, 10)], [], [])
    store.accept_gap(moved(over, 10), 30)
    assert [(gap.partition, gap.first, gap.end) for gap in store.gaps()] == [
        *((0, 0, 9), (0, 10, 30), (1, 0, 5)),
    ]


def test_a_zombie_accepts_no_gap(store: SessionStore) -> None:
    """Nothing is kept of it."""
    zombie = store.claim([0], "one")
    store.claim([0], "two")
    with pytest.raises(FencedError):
        store.accept_gap(zombie[0], 12)
    assert (store.gaps(), store.positions()[0].next_offset) == ([], 0)


def test_a_store_without_positions_has_no_attempt(new_store: SessionStore) -> None:
    """Neither is a gap made up in it."""
    never = Position(partition=0, next_offset=0, owner_epoch=0)
    with pytest.raises(FencedError):
        new_store.attempt([never])
    with pytest.raises(FencedError):
        new_store.accept_gap(never, 1)
    assert (new_store.gaps(), new_store.positions()) == ([], {})


def test_a_service_that_stopped_itself_stays_stopped(store: SessionStore) -> None:
    """Until it is told to go on; the last reason counts, and nothing else changes."""
    before = store.info()
    assert before.stopped is None
    store.stop("1,000 records in a row")
    store.stop("more than 50 % of 2,000 records")
    assert store.info() == replace(before, stopped="more than 50 % of 2,000 records")
    store.resume()
    store.resume()
    assert store.info() == before


def test_a_stopped_store_is_written_all_the_same(store: SessionStore) -> None:
    """Refusing to start is the service's; a person may still retry what was set aside."""
    set_aside = letter(0, 5)
    store.commit([], [], [set_aside])
    store.stop("a reason")
    store.resolve([set_aside], "retried", [row(offset=5)])
    assert [each.status for each in store.dead_letters()] == ["retried"]


def test_the_first_generation_is_the_live_one(store: SessionStore) -> None:
    """Until another has been filled beside it."""
    assert store.info().generation == "a"


def test_an_attempt_that_ended_nobody_is_taken_back(store: SessionStore) -> None:
    """Once each, at the given positions, and never below none."""
    held = store.claim([0, 1], "one")
    store.attempt([*held.values()])
    store.attempt([held[0]])
    store.spare([held[0]])
    assert attempts(store) == {0: 1, 1: 1, 2: 0}
    for _ in range(2):
        store.spare([*held.values()])
    assert attempts(store) == {0: 0, 1: 0, 2: 0}


def test_a_process_that_was_fenced_takes_its_own_back(store: SessionStore) -> None:
    """It lives, too; but where the heir has moved on, there is nothing of its own left."""
    zombie = store.claim([0, 1], "one")
    store.attempt([*zombie.values()])
    heir = store.claim([0, 1], "two")
    store.attempt([heir[0]])
    store.commit([advance(heir[1], 5)], [], [])
    store.attempt([advance(heir[1], 5).moved()])
    store.spare([*zombie.values()])
    assert attempts(store) == {0: 1, 1: 1, 2: 0}
