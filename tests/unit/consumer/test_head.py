"""The broker is asked where the log ends, again and again, whatever it answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

import pytest

from sessionfold_consumer.errors import BrokerRefusedError, BrokerUnreachableError, ConsumerError
from sessionfold_consumer.head import watching_head
from sessionfold_consumer.lag import Lag
from tests.unit.consumer.observing import progress

_PATIENCE_SECONDS = 20.0


class Asked:
    """Answers from a list, and then the last of it for ever; says when all of it was given."""

    def __init__(self, *answers: Mapping[int, int] | ConsumerError) -> None:
        self._answers = [*answers]
        self.partitions: list[list[int]] = []
        self.threads: set[threading.Thread] = set()
        self.all_given = threading.Event()

    def __call__(self, partitions: Sequence[int]) -> Mapping[int, int]:
        """Answer."""
        self.threads.add(threading.current_thread())
        self.partitions.append([*partitions])
        answer = self._answers[0]
        if len(self._answers) > 1:
            del self._answers[0]
        elif len(self.partitions) > 1:
            # By the second question the first answer has been told.
            self.all_given.set()
        if isinstance(answer, ConsumerError):
            raise answer
        return answer

    def wait(self) -> None:
        """Wait until all answers were given and told."""
        assert self.all_given.wait(_PATIENCE_SECONDS)


def test_what_the_broker_says_is_told() -> None:
    """From one thread, which is gone with the block."""
    lag = Lag()
    lag.progressed(progress({0: 5, 3: 5}))
    asked = Asked({0: 6, 3: 9})
    with watching_head(asked, lag, period_seconds=0.01):
        asked.wait()
        assert {place.partition: place.lag for place in lag.places()} == {0: 1, 3: 4}
        (thread,) = asked.threads
    assert asked.partitions[0] == [0, 3]
    assert not thread.is_alive()


def test_a_process_without_partitions_asks_for_one() -> None:
    """To know that the broker answers."""
    lag = Lag()
    asked = Asked({0: 6})
    with watching_head(asked, lag, period_seconds=0.01):
        asked.wait()
    assert asked.partitions[0] == [0]
    assert lag.head_seconds() is not None


@pytest.mark.parametrize(
    "error", [BrokerUnreachableError("x", 1, "y"), BrokerRefusedError("x", "y")]
)
def test_no_answer_is_not_the_end(error: ConsumerError) -> None:
    """It goes on asking; what was said before is as old as it is."""
    lag = Lag()
    silent = Asked(error)
    with watching_head(silent, lag, period_seconds=0.01):
        silent.wait()
    assert lag.head_seconds() is None
    asked = Asked(error, {0: 1})
    with watching_head(asked, lag, period_seconds=0.01):
        asked.wait()
    assert lag.head_seconds() is not None


def test_a_question_without_an_answer_does_not_hold_up_the_end() -> None:
    """The service has to leave its group."""
    answer = threading.Event()

    def hang(_: Sequence[int]) -> Mapping[int, int]:
        answer.wait(_PATIENCE_SECONDS)
        return {}

    lag = Lag()
    with watching_head(hang, lag):
        pass
    assert lag.head_seconds() is None
    answer.set()
