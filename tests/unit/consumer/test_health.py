"""Health: when a service is live and ready, and what it says when not."""

from __future__ import annotations

import pytest

from sessionfold_consumer.health import Bounds, Health
from sessionfold_consumer.lag import Lag
from sessionfold_consumer.observer import Progress
from tests.unit.consumer.observing import WALL, Time, progress


class Watched:
    """A service's health, told to both observers as the command line does."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.time = Time()
        self.lag = Lag(self.time.clock, self.time.wall)
        self.health = Health(self.lag, bounds or Bounds(), self.time.clock)

    def step(self, seconds: float, told: Progress, head: dict[int, int] | None = None) -> None:
        """Let time pass, the broker answer, and the loop make a step."""
        self.time.seconds += seconds
        if head is not None:
            self.lag.told(head, WALL + self.time.seconds)
        self.lag.progressed(told)
        self.health.progressed(told)

    def answers(self) -> tuple[str, str]:
        """Return what /livez and /readyz say."""
        live, ready = self.health.live(), self.health.ready()
        assert live.is_good is (live.reason == "live")
        assert ready.is_good is (ready.reason == "ready")
        return live.reason, ready.reason


@pytest.fixture
def watched() -> Watched:
    """A service that has not begun."""
    return Watched()


def test_a_service_that_has_not_begun_lives_and_is_not_ready(watched: Watched) -> None:
    """For as long as a step may take; a start that hangs is not life."""
    not_begun = "the service has not begun: it looks at store, broker and topic first"
    assert watched.answers() == ("live", not_begun)
    watched.time.seconds = 60
    assert watched.answers() == ("live", not_begun)
    watched.time.seconds = 61
    assert watched.answers() == ("the service has not begun for 61 s",) * 2


def test_it_is_ready_when_the_broker_has_said_where_the_log_ends(watched: Watched) -> None:
    """Not before: a lag that nobody knows is not none."""
    watched.step(1, progress({0: 5}))
    assert watched.answers() == ("live", "the broker has not said yet where the log ends")
    watched.step(1, progress({0: 5}), {0: 5})
    assert watched.answers() == ("live", "ready")


def test_without_partitions_it_is_ready_when_the_broker_answers(watched: Watched) -> None:
    """A standby does its work by being there."""
    watched.step(1, progress({}), {0: 100})
    assert watched.answers() == ("live", "ready")


def test_a_loop_that_makes_no_step_is_dead(watched: Watched) -> None:
    """Also while the broker answers."""
    watched.step(1, progress({0: 5}), {0: 5})
    watched.time.seconds += 61
    watched.lag.told({0: 5}, WALL)
    assert watched.answers() == ("the loop has made no step for 61 s",) * 2
    watched.step(1, progress({0: 5}))
    assert watched.answers() == ("live", "ready")


@pytest.mark.parametrize("cause", ["broker", "store"])
def test_who_waits_lives_and_is_not_ready(watched: Watched, cause: str) -> None:
    """It says for what and how long, in words of ours: the error's may name hosts."""
    watched.step(1, progress({0: 5}), {0: 5})
    watched.health.waits("broker" if cause == "broker" else "store")
    watched.step(1, progress({0: 5}, waiting="password=hunter2"), {0: 5})
    watched.step(30, progress({0: 5}, waiting="password=hunter2"), {0: 5})
    assert watched.answers() == (
        "live",
        f"the service has been waiting for the {cause} for 30 s; its log says why",
    )
    watched.step(1, progress({0: 5}), {0: 5})
    assert watched.answers() == ("live", "ready")


def test_a_wait_whose_cause_was_not_told_is_a_wait(watched: Watched) -> None:
    """And the cause of one wait is not the next one's."""
    watched.health.waits("store")
    watched.step(1, progress({}, waiting="x"), {})
    watched.step(1, progress({}), {})
    watched.step(1, progress({}, waiting="x"), {})
    _, ready = watched.answers()
    assert ready == "the service has been waiting for broker or store for 0 s; its log says why"


def test_a_broker_that_stops_answering_makes_it_not_ready(watched: Watched) -> None:
    """Though the loop goes on, and the client takes silence for an empty log."""
    watched.step(1, progress({0: 5}), {0: 5})
    watched.step(20, progress({0: 5}))
    assert watched.answers() == ("live", "ready")
    watched.step(1, progress({0: 5}))
    assert watched.answers() == ("live", "the broker has not said for 21 s where the log ends")
    watched.step(1, progress({0: 5}), {0: 5})
    assert watched.answers() == ("live", "ready")


def test_a_partition_that_does_not_move_makes_it_not_ready(watched: Watched) -> None:
    """One is enough, also when only the broker knows that there is something to fold."""
    for second in range(1, 7):
        watched.step(10, progress({0: 5, 1: second}, {0: 5, 1: 100}), {0: 9})
        assert watched.answers() == ("live", "ready")
    watched.step(11, progress({0: 5, 1: 7}, {0: 5, 1: 100}), {0: 9})
    assert watched.answers() == (
        "live",
        "partition 0 has not moved for 61 s: the next offset is 5, and the log ends at 9",
    )
    watched.step(1, progress({0: 6, 1: 8}, {0: 9, 1: 100}), {0: 9})
    assert watched.answers() == ("live", "ready")


def test_who_is_far_behind_and_comes_nearer_is_ready(watched: Watched) -> None:
    """Unless a bound was given."""
    watched.step(1, progress({0: 1}, {0: 1_000_000}), {0: 1_000_000})
    assert watched.answers() == ("live", "ready")


def test_a_bound_for_the_lag_holds_for_the_sum(watched: Watched) -> None:
    """At the bound it is ready, one record over it is not."""
    bounded = Watched(Bounds(lag_records=10))
    bounded.step(1, progress({0: 1, 1: 1}, {0: 6, 1: 6}), {})
    assert bounded.answers() == ("live", "ready")
    bounded.step(1, progress({0: 1, 1: 1}, {0: 6, 1: 7}), {})
    assert bounded.answers() == ("live", "the lag, 11, is more than 10 (--ready-max-lag)")
    none = Watched(Bounds(lag_records=0))
    none.step(1, progress({0: 1}), {0: 1})
    assert none.answers() == ("live", "ready")
    none.step(1, progress({0: 1}, {0: 2}))
    assert none.answers() == ("live", "the lag, 1, is more than 0 (--ready-max-lag)")
