"""A log folded by several processes at a time: what they tell, and how they end."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Sequence

import pytest

from sessionfold_consumer.errors import BrokerUnreachableError, ConsumerError
from sessionfold_consumer.observer import Observer, Progress
from sessionfold_consumer.rebuild.parts import Stopping, fold_in_parts

_PATIENCE_SECONDS = 60.0


class Seen(Observer):
    """Keeps the last progress."""

    def __init__(self) -> None:
        self.last: Progress | None = None

    def progressed(self, progress: Progress) -> None:
        """Keep it."""
        self.last = progress


def fold(partitions: Sequence[int], observer: Observer, stopping: Stopping) -> None:
    """Tell of ten records a partition."""
    assert not stopping()
    observer.progressed(
        Progress(
            records=10 * len(partitions),
            dead_letters=1,
            next_offsets=dict.fromkeys(partitions, 10),
            ends=dict.fromkeys(partitions, 20),
        )
    )


def fail(partitions: Sequence[int], observer: Observer, stopping: Stopping) -> None:
    """End with an error in one part; go on for ever in the others."""
    if 1 in partitions:
        raise BrokerUnreachableError("nowhere:1", 1.0, "no answer")
    wait(partitions, observer, stopping)


def wait(partitions: Sequence[int], observer: Observer, stopping: Stopping) -> None:
    """Go on until it is over."""
    observer.progressed(Progress(records=1, dead_letters=0, next_offsets={}, ends={}))
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not stopping():
        assert time.monotonic() < deadline, partitions
        time.sleep(0.01)


def end(partitions: Sequence[int], observer: Observer, stopping: Stopping) -> None:
    """Be gone at once, as if killed."""
    os._exit(9)


def test_progress_is_that_of_all_parts() -> None:
    """Records are added up; each partition is in one of them."""
    seen = Seen()
    fold_in_parts(fold, [[0, 2], [1]], seen, lambda: False)
    assert seen.last is not None
    assert (seen.last.records, seen.last.dead_letters, seen.last.lag) == (30, 2, 30)


def test_an_error_of_one_ends_all() -> None:
    """With its sentence and its exit code."""
    with pytest.raises(ConsumerError, match="nowhere:1") as raised:
        fold_in_parts(fail, [[0], [1]], Observer(), lambda: False)
    assert raised.value.exit_code == BrokerUnreachableError.exit_code


def test_a_part_whose_process_is_gone_is_an_error() -> None:
    """Nothing is taken for folded."""
    with pytest.raises(ConsumerError, match="was ended"):
        fold_in_parts(end, [[0]], Observer(), lambda: False)


def test_all_stop_when_they_are_told_to() -> None:
    """And have ended when the call returns."""
    seen = Seen()
    fold_in_parts(wait, [[0], [1]], seen, lambda: seen.last is not None)
    assert multiprocessing.active_children() == []
