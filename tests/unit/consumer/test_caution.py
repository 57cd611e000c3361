"""Care: how much is folded at a time where processes ended."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.caution import CAREFUL_ATTEMPTS, FATAL_ATTEMPTS, Caution
from sessionfold_consumer.store import Advance, Position

_BATCH = 50_000
_LOG = 200_000


class Partition:
    """A partition with a record that ends processes, folded by one process after the other."""

    def __init__(self, lethal: int | None) -> None:
        self.lethal = lethal
        self.next_offset = self.attempts = self.commits = 0
        self.aside: list[int] = []

    def live(self) -> bool:
        """Fold as one process; return whether it came to the log's end."""
        caution = Caution(_BATCH)
        position = Position(
            partition=0, next_offset=self.next_offset, owner_epoch=1, attempts=self.attempts
        )
        caution.take_over({0: position})
        while self.next_offset < _LOG:
            counted = caution.to_be_counted({0: position}, [0])
            for each in counted:
                self.attempts = max(self.attempts, each.attempts) + 1
            caution.counted(counted)
            end = min(self.next_offset + caution.batch_records, _LOG)
            if 0 in caution.fatal:
                self.aside.append(self.next_offset)
            elif self.lethal is not None and self.next_offset <= self.lethal < end:
                return False
            advance = Advance(position=position, next_offset=end)
            caution.moved([advance])
            position = advance.moved()
            self.next_offset, self.attempts = end, 0
            self.commits += 1
        return True


@given(lethal=st.integers(0, _LOG - 1))
def test_just_the_lethal_record_is_set_aside(lethal: int) -> None:
    """After as many ends as are allowed, and in few transactions, wherever it is."""
    partition = Partition(lethal)
    ends = 0
    while not partition.live():
        ends += 1
    # The first one is not counted when it had committed before.
    assert ends == FATAL_ATTEMPTS + (lethal >= _BATCH)
    assert partition.aside == [lethal]
    assert partition.commits < 200


@given(attempts=st.integers(0, 2 * FATAL_ATTEMPTS))
def test_what_passes_is_soon_folded_as_ever(attempts: int) -> None:
    """However often processes were killed before: the records were not to blame."""
    partition = Partition(None)
    partition.attempts = attempts
    assert partition.live()
    assert partition.aside == ([0] if attempts >= FATAL_ATTEMPTS else [])
    assert partition.commits < 100


@given(kills=st.lists(st.integers(1, 2_000), max_size=30))
def test_processes_that_are_killed_after_a_commit_set_nothing_aside(kills: list[int]) -> None:
    """Whatever kills them: no two of them end at the same record."""
    partition = Partition(None)
    for records in kills:
        before = partition.next_offset
        partition.lethal = before + records
        partition.live()
        if partition.next_offset == before:
            partition.next_offset, partition.attempts = before + 1, 0
    partition.lethal = None
    assert partition.live()
    assert partition.aside == []


@pytest.mark.parametrize("attempts", range(CAREFUL_ATTEMPTS))
def test_without_need_there_is_no_care(attempts: int) -> None:
    """One end may have any cause."""
    caution = Caution(_BATCH)
    position = Position(partition=0, next_offset=7, owner_epoch=1, attempts=attempts)
    caution.take_over({0: position})
    assert caution.batch_records == _BATCH
    assert not caution.fatal


def test_nothing_is_set_aside_where_that_is_not_wanted() -> None:
    """However often processes ended; care is taken all the same."""
    caution = Caution(_BATCH, sets_aside=False)
    position = Position(partition=0, next_offset=7, owner_epoch=1, attempts=3 * FATAL_ATTEMPTS)
    caution.take_over({0: position})
    assert caution.batch_records == 1
    assert not caution.fatal
