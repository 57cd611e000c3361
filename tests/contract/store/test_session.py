"""Every store: what it has of one session, for answers from the log."""

from __future__ import annotations

import pytest
from hypothesis import given

from sessionfold_consumer.answers import read_session
from tests.contract.store.stores import KINDS, bound, fill, letter
from tests.strategies import Log, mixed_logs


@pytest.mark.parametrize("kind", KINDS)
@given(log=mixed_logs)
def test_it_is_what_the_whole_store_has_of_it(kind: str, log: Log) -> None:
    """States and dead letters, those that became something else among them; nobody else's."""
    with bound(kind) as store:
        fill(store, [log])
        letters = list(store.dead_letters())
        if letters:
            store.resolve(letters[:1], "dropped")
        names = {(each.key or b"").decode(errors="replace") for each in log} | {"nobody", "\udcff"}
        for name in names:
            stored = read_session(store, name)
            states = [each for each in store.states() if each["session_id"] == name]
            assert stored.states == states
            assert stored.letters == [e for e in store.dead_letters() if e.session_id == name]
            places = {each["partition"] for each in states} | {e.partition for e in stored.letters}
            assert stored.partitions == sorted(places)


@pytest.mark.parametrize("kind", KINDS)
def test_a_session_may_have_dead_letters_alone(kind: str) -> None:
    """Then it has no state, and still a partition."""
    with bound(kind) as store:
        store.commit([], [], [letter(2, 5, key=b"a")])
        stored = read_session(store, "a")
        assert (stored.states, stored.partitions) == ([], [2])
