"""A call may be broken into wherever Python lets a signal handler or a finalizer run.

These places are the begin of each function and the end of each call of a built-in one: just where
``sys.setprofile`` is told. So each of them is tried, one after the other, with a handler that calls
the SDK itself, and with one that raises.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

import sessionfold as lai
from sessionfold import _process, testing
from sessionfold._client import Client
from sessionfold._config import load
from sessionfold.testing import Events

Operation = Callable[[], object]

PLACES = {"call", "c_return"}
MOST_PLACES = 2_000


class BreakIn:
    """Calls ``handler`` at one place within an operation.

    Attributes:
        left: how many places to go by; below zero when the handler was called.
    """

    def __init__(self, place: int, handler: Operation) -> None:
        self.left = place
        self._handler = handler

    def __call__(self, _frame: FrameType, event: str, _arg: object) -> None:
        """Count a place; at the one that was asked for call the handler, which may raise."""
        if event not in PLACES or self.left < 0:
            return
        self.left -= 1
        if self.left < 0:
            sys.setprofile(None)
            self._handler()

    def run(self, operation: Operation) -> bool:
        """Run the operation; return whether it was broken into.

        Without garbage collection: hypothesis listens to it, and would swallow what is raised.
        """
        gc.disable()
        sys.setprofile(self)
        try:
            operation()
        finally:
            sys.setprofile(None)
            gc.enable()
        return self.left < 0


def whole() -> None:
    """All that a worker does with a session."""
    with lai.session(session_id="block", task="a"):
        lai.update_session("b", 0.5, "c", True, "d")
        lai.init(session_id="inner", task="e")
        lai.update_session(session_eval=1)
        lai.end_session()


def report() -> None:
    """What a handler does."""
    lai.update_session(task="within", session_id="within")


def report_on_the_same() -> None:
    """What a handler does that reports on what is under way."""
    lai.update_session(task="within", session_id="block")


def interrupt() -> None:
    """What Ctrl+C does."""
    raise KeyboardInterrupt


def prepared(events: Events, waiting: int) -> None:
    """Let nothing be a first time, and let so many events wait."""
    whole()
    report()
    lai.clear_active_session()
    assert len(events) == 7
    for number in range(waiting):
        lai.update_session(task="t", session_id=f"waiting-{number}")


def balance() -> lai.Stats:
    """Deliver everything and return the accounts, which add up before that, too."""
    add_up(lai.stats())
    lai.flush(5.0)
    stats = lai.stats()
    add_up(stats)
    assert stats.in_flight == 0, stats
    return stats


def add_up(stats: lai.Stats) -> None:
    """Expect each update to be in one of the accounts."""
    parts = stats.delivered + stats.spooled + stats.dropped + stats.in_flight
    assert stats.accepted == parts, stats


# The queue has room; is so full that updates of a session join; has no room at all.
SITUATIONS = pytest.mark.parametrize("waiting", [0, 18, 20])


@SITUATIONS
@pytest.mark.parametrize("handler", [report, report_on_the_same])
def test_a_call_within_a_call(handler: Operation, waiting: int) -> None:
    """Both do what they are for, and the accounts add up."""
    for place in range(MOST_PLACES):
        with testing.record(queue_events=20) as events:
            prepared(events, waiting)
            broken_into = BreakIn(place, handler).run(whole)
            stats = balance()
            if not broken_into:
                assert place > 100
                return
            assert stats.accepted == 7 + waiting + 7, place
            assert stats.delivered - stats.coalesced == len(events), place
            if not waiting:
                assert_complete(events)
    raise AssertionError("the operation has no end")


def assert_complete(events: Events) -> None:
    """What was said is there, in order, beside what the handler said."""
    told = [event for event in events[7:] if event.get("task") != "within"]
    assert [(event["session_id"], event.get("task")) for event in told] == [
        ("block", "a"),
        ("block", "b"),
        ("inner", "e"),
        ("inner", None),
        ("inner", None),
        ("block", None),
    ]
    assert [event["sequence"] for event in events] == list(range(14))


@SITUATIONS
def test_ctrl_c_within_a_call(waiting: int) -> None:
    """It goes on to the caller; what was accepted is accounted for, and the next call works."""
    for place in range(MOST_PLACES):
        with testing.record(queue_events=20) as events:
            prepared(events, waiting)
            broken_into = BreakIn(place, interrupt)
            try:
                broken_into.run(whole)
            except KeyboardInterrupt:
                pass
            else:
                assert broken_into.left >= 0, f"swallowed at place {place}"
                assert place > 100
                return
            balance()
            lai.clear_active_session()
            before: list[dict[str, Any]] = events[:]
            report()
            assert events[len(before)]["task"] == "within", place
            balance()
    raise AssertionError("the operation has no end")


class SilentPublisher(testing.MemoryPublisher):
    """Takes everything and reports nothing, as a client without a broker."""

    def poll(self, timeout_seconds: float, *, hurry: bool = False) -> None:
        """Report nothing."""


def test_ctrl_c_within_a_wait() -> None:
    """It goes on to the caller as what it is, and leaves no trace."""
    client = Client(load({}, on_full="drop"), lambda _: SilentPublisher())
    with _process.replaced(client):
        try:
            report()
            for place in range(MOST_PLACES):
                broken_into = BreakIn(place, interrupt)
                try:
                    broken_into.run(lambda: lai.flush(0.001))
                except KeyboardInterrupt:
                    assert client.inbox.waiters == 0, place
                else:
                    assert broken_into.left >= 0, f"swallowed at place {place}"
                    assert place > 20
                    return
        finally:
            lai.shutdown(0)
