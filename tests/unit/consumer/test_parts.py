"""A log folded by several processes at a time: what they tell, and how they end."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import time
from collections.abc import Sequence

import pytest

from sessionfold_consumer.errors import BrokerUnreachableError, ConsumerError
from sessionfold_consumer.observer import Observer, Progress
from sessionfold_consumer.parts import Stopping, fold_in_parts, parts_of

_PATIENCE_SECONDS = 60.0


class Seen(Observer):
    """Keeps the last progress."""

    def __init__(self) -> None:
        self.last: Progress | None = None

    @property
    def records(self) -> int:
        """Those of the last progress."""
        return self.last.records if self.last else 0

    def progressed(self, progress: Progress) -> None:
        """Keep it."""
        self.last = progress


def _after(records: int, partitions: Sequence[int]) -> Progress:
    return Progress(
        records=records * len(partitions),
        dead_letters=1,
        next_offsets=dict.fromkeys(partitions, records),
        ends=dict.fromkeys(partitions, 20),
    )


def fold(partitions: Sequence[int], observer: Observer, stopping: Stopping) -> Progress:
    """Tell of ten records a partition, and fold two more."""
    assert not stopping()
    observer.progressed(_after(10, partitions))
    return _after(12, partitions)


def fail(partitions: Sequence[int], observer: Observer, stopping: Stopping) -> Progress:
    """End with an error in one part; go on for ever in the others."""
    if 1 in partitions:
        raise BrokerUnreachableError("nowhere:1", 1.0, "no answer")
    return go_on(partitions, observer, stopping)


def go_on(partitions: Sequence[int], observer: Observer, stopping: Stopping) -> Progress:
    """Go on until it is over."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not stopping():
        observer.progressed(_after(1, partitions))
        assert time.monotonic() < deadline, partitions
        time.sleep(0.01)
    return _after(2, partitions)


def end(partitions: Sequence[int], observer: Observer, stopping: Stopping) -> Progress:
    """Be gone at once, as if killed; not in this process, which has partition 0."""
    if 0 not in partitions:
        os._exit(9)
    return go_on(partitions, observer, stopping)


def be_signalled(partitions: Sequence[int], observer: Observer, stopping: Stopping) -> Progress:
    """Be sent what a terminal and a supervisor send to all processes; this one is tested."""
    if 0 not in partitions:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
    return fold(partitions, observer, stopping)


def log(partitions: Sequence[int], observer: Observer, stopping: Stopping) -> Progress:
    """Say something, and something that nobody wants to know."""
    if 0 not in partitions:
        logging.getLogger("sessionfold_consumer").info("part of %s", list(partitions))
        logging.getLogger("sessionfold_consumer").debug("nothing")
    return fold(partitions, observer, stopping)


def test_partitions_are_dealt_out() -> None:
    """Each to one process, and to each process one at least."""
    assert [[*each] for each in parts_of(5, 2)] == [[0, 2, 4], [1, 3]]
    assert [[*each] for each in parts_of(2, 7)] == [[0], [1]]


def test_progress_is_that_of_all_parts() -> None:
    """Records are added up; each partition is in one of them."""
    seen = Seen()
    assert fold_in_parts(fold, [[0, 2], [1]], seen, lambda: False) == seen.last
    assert seen.last is not None
    assert (seen.last.records, seen.last.dead_letters, seen.last.lag) == (36, 2, 24)


@pytest.mark.parametrize("failing", [[[1], [0]], [[0], [1]]])
def test_an_error_of_one_ends_all(failing: list[list[int]]) -> None:
    """With its sentence and its exit code, from this process or from another one."""
    with pytest.raises(ConsumerError, match="nowhere:1") as raised:
        fold_in_parts(fail, failing, Observer(), lambda: False)
    assert raised.value.exit_code == BrokerUnreachableError.exit_code
    assert multiprocessing.active_children() == []


def test_a_part_whose_process_is_gone_is_an_error() -> None:
    """Nothing is taken for folded."""
    with pytest.raises(ConsumerError, match="was ended"):
        fold_in_parts(end, [[0], [1]], Observer(), lambda: False)


def test_signals_to_all_are_left_to_the_first() -> None:
    """Ctrl+C reaches each process of a terminal; the others end when they are told to."""
    assert fold_in_parts(be_signalled, [[0], [1]], Observer(), lambda: False).records == 24


def test_what_others_log_is_logged_here(caplog: pytest.LogCaptureFixture) -> None:
    """By this process's own rules."""
    caplog.set_level(logging.INFO, "sessionfold_consumer")
    fold_in_parts(log, [[0], [1, 2]], Observer(), lambda: False)
    assert [each.getMessage() for each in caplog.records] == ["part of [1, 2]"]


def test_all_stop_when_they_are_told_to() -> None:
    """And have ended when the call returns, with what they did last."""
    seen = Seen()
    all_told = fold_in_parts(go_on, [[0], [1]], seen, lambda: seen.records > 1)
    assert all_told.records == 4
    assert multiprocessing.active_children() == []
