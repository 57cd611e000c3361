"""Lag: in records by the later of two ends, in seconds never less than it is, and stillness."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.lag import Lag
from tests.unit.consumer.observing import WALL, Time, commit, progress


@pytest.fixture
def time() -> Time:
    """Clocks that stand still until they are set."""
    return Time()


@pytest.fixture
def lag(time: Time) -> Lag:
    """Lag that nothing is known of."""
    return Lag(time.clock, time.wall)


def records(lag: Lag) -> dict[int, int]:
    """Return the lag in records by partition."""
    return {place.partition: place.lag for place in lag.places()}


def still(lag: Lag) -> dict[int, float]:
    """Return for each partition how long it has been behind at its position."""
    return {place.partition: place.still_seconds for place in lag.places()}


def test_nothing_is_held_at_first(lag: Lag) -> None:
    """So there is no lag, and the broker has said nothing."""
    assert (lag.places(), lag.seconds(), lag.head_seconds()) == ([], 0.0, None)


def test_records_are_what_is_left_to_the_later_end(lag: Lag) -> None:
    """The client's end, or the broker's: whichever is later."""
    lag.progressed(progress({0: 5, 1: 5, 2: 5}, {0: 8, 1: 5}))
    assert records(lag) == {0: 3, 1: 0, 2: 0}
    lag.told({0: 7, 1: 9, 7: 100}, WALL)
    assert records(lag) == {0: 3, 1: 4, 2: 0}
    assert [place.end for place in lag.places()] == [8, 9, 5]


def test_a_partition_that_was_given_up_is_forgotten(lag: Lag, time: Time) -> None:
    """Also when it comes back: then it begins anew."""
    lag.progressed(progress({0: 0, 1: 0}, {0: 9, 1: 9}))
    time.seconds = 100
    lag.progressed(progress({1: 9}))
    assert (records(lag), lag.seconds()) == ({1: 0}, 0.0)
    lag.progressed(progress({0: 0, 1: 9}, {0: 9, 1: 9}))
    assert (still(lag), lag.partitions()) == ({0: 0.0, 1: 0.0}, [0, 1])


def test_a_partition_stands_still_from_when_it_is_behind(lag: Lag, time: Time) -> None:
    """Not from its last move, which may be days ago; a move or the end resets it."""
    lag.progressed(progress({0: 5}))
    time.seconds = 1000
    lag.progressed(progress({0: 5}, {0: 6}))
    time.seconds = 1007
    lag.progressed(progress({0: 5}, {0: 9}))
    assert still(lag) == {0: 7.0}
    lag.progressed(progress({0: 6}, {0: 9}))
    assert still(lag) == {0: 0.0}
    time.seconds = 1010
    assert still(lag) == {0: 3.0}
    lag.progressed(progress({0: 9}))
    assert still(lag) == {0: 0.0}


def test_one_partition_stands_still_beside_others_that_move(lag: Lag, time: Time) -> None:
    """Each has a clock of its own."""
    lag.progressed(progress({0: 0, 1: 0}, {0: 9, 1: 9}))
    time.seconds = 30
    lag.progressed(progress({0: 0, 1: 5}, {0: 9, 1: 9}))
    assert still(lag) == {0: 30.0, 1: 0.0}


def test_what_only_the_broker_knows_of_counts_as_standing_still(lag: Lag, time: Time) -> None:
    """A client that hears nothing any more: its own end says that there is nothing to do."""
    lag.progressed(progress({0: 5}))
    lag.told({0: 6}, WALL)
    time.seconds = 61
    lag.progressed(progress({0: 5}))
    assert still(lag) == {0: 61.0}


def test_seconds_come_from_the_records_stored_last(lag: Lag, time: Time) -> None:
    """What follows them in the log is no older; the oldest of the batch is the bound."""
    time.seconds = 100
    lag.progressed(progress({0: 5}, {0: 9}))
    lag.committed(commit(0, seconds=(40, 90)))
    lag.progressed(progress({0: 6}, {0: 9}))
    assert lag.seconds() == 60.0
    time.seconds = 110
    assert lag.seconds() == 70.0


def test_a_record_after_a_long_silence_is_not_as_old_as_the_silence(lag: Lag, time: Time) -> None:
    """It was appended after the broker was asked and the store was up to its answer."""
    lag.progressed(progress({0: 5}))
    lag.committed(commit(0, seconds=(0, 0)))
    time.seconds = 5000
    lag.told({0: 5}, WALL + 4999)
    time.seconds = 5003
    lag.progressed(progress({0: 5}, {0: 6}))
    assert lag.seconds() == 4.0


def test_an_answer_counts_from_when_it_was_asked_for_and_reached(lag: Lag, time: Time) -> None:
    """While the store is before it, it says nothing about what is missing."""
    lag.progressed(progress({0: 5}, {0: 7}))
    lag.committed(commit(0, seconds=(-100, -100)))
    time.seconds = 10
    lag.told({0: 6}, WALL + 8)
    assert lag.seconds() == 110.0
    lag.progressed(progress({0: 6}, {0: 7}))
    assert lag.seconds() == 2.0


def test_before_the_first_batch_seconds_count_from_the_start(lag: Lag, time: Time) -> None:
    """A service that stores nothing from its start on is late, too, and more every second."""
    time.seconds = 10
    lag.progressed(progress({0: 5}, {0: 9}))
    time.seconds = 400
    assert lag.seconds() == 390.0


def test_seconds_are_those_of_the_partition_that_is_latest(lag: Lag, time: Time) -> None:
    """One that is nearly caught up hides no other."""
    lag.progressed(progress({0: 5, 1: 5, 2: 5}, {0: 9, 1: 9, 2: 9}))
    for partition, second in ((0, -20), (1, -90), (2, -10)):
        lag.committed(commit(partition, seconds=(second, second)))
    assert lag.seconds() == 90.0


@pytest.mark.parametrize("seconds", [None, (-WALL - 0.001, -WALL)])
def test_records_without_a_time_say_nothing(
    lag: Lag, time: Time, seconds: tuple[float, float] | None
) -> None:
    """Kafka has -1 for none; a batch may have no records. What was known before stays."""
    lag.progressed(progress({0: 5}, {0: 9}))
    lag.committed(commit(0, seconds=seconds))
    time.seconds = 3
    assert lag.seconds() == 3.0
    lag.committed(commit(0, seconds=(1, 1)))
    lag.committed(commit(0, seconds=seconds))
    assert lag.seconds() == 2.0


def test_clocks_that_differ_give_no_negative_lag(lag: Lag) -> None:
    """The broker's may be ahead of ours."""
    lag.progressed(progress({0: 5}, {0: 9}))
    lag.committed(commit(0, seconds=(60, 60)))
    assert lag.seconds() == 0.0


def test_the_age_of_what_the_broker_said(lag: Lag, time: Time) -> None:
    """From when the answer came."""
    time.seconds = 5
    lag.told({}, WALL)
    time.seconds = 7
    assert lag.head_seconds() == 2.0


STEP = st.sampled_from(["append", "hear", "ask", "store", "wait"])


@given(st.lists(STEP, max_size=60))
def test_no_record_that_is_missing_is_older_than_the_lag_says(steps: list[str]) -> None:
    """Whatever client and broker said, and when.

    The log is a list of times; the store is up to ``stored``, the client has heard of ``heard``.
    """
    time = Time(1000.0)
    lag = Lag(time.clock, time.wall)
    log = [0.0]
    stored = 1
    heard = 1
    told = 1
    for step in steps:
        match step:
            case "append":
                log.append(time.seconds)
            case "hear":
                heard = len(log)
            case "ask":
                told = len(log)
                lag.told({0: told}, time.wall())
            case "store" if stored < heard:
                lag.committed(commit(0, seconds=(log[stored], log[heard - 1])))
                stored = heard
            case "wait":
                time.seconds += 1
        lag.progressed(progress({0: stored}, {0: heard}))
        assert records(lag) == {0: max(heard, told) - stored}
        if max(heard, told) > stored:
            assert lag.seconds() >= time.seconds - log[stored] - 1e-3
