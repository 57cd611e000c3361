"""Commits in the background: not all of the time, where others need the database, too."""

from __future__ import annotations

import pytest

from sessionfold_consumer.background import AtOnce, Paced


class Time:
    """A clock that only sleeping, and what is said to take long, moves on."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.slept.append(seconds)
        self.now += seconds

    def work(self, seconds: float) -> str:
        """Take long."""
        self.now += seconds
        return f"worked {seconds}"


@pytest.mark.parametrize(("share", "rest"), [(0.5, 2.0), (0.25, 6.0), (1.0, 0.0)])
def test_a_call_is_followed_by_rest(share: float, rest: float) -> None:
    """As long as keeps calls within their share; the first one is done at once."""
    time = Time()
    paced = Paced(AtOnce(), share, lambda: time.now, time.sleep)
    assert paced.submit(time.work, 2.0).result() == "worked 2.0"
    paced.submit(time.work, 1.0).result()
    assert time.slept == [0.0, rest]


def test_time_that_has_passed_anyway_is_rest() -> None:
    """Nothing is waited for when calls come seldom."""
    time = Time()
    paced = Paced(AtOnce(), 0.5, lambda: time.now, time.sleep)
    paced.submit(time.work, 2.0).result()
    time.now += 5.0
    paced.submit(time.work, 2.0).result()
    assert time.slept == [0.0, 0.0]


def test_a_call_that_fails_is_followed_by_rest_too() -> None:
    """And its outcome is its error."""
    time = Time()
    paced = Paced(AtOnce(), 0.5, lambda: time.now, time.sleep)

    def fail() -> None:
        time.work(2.0)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        paced.submit(fail).result()
    paced.submit(time.work, 1.0).result()
    assert time.slept == [0.0, 2.0]
