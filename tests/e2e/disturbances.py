"""A worker that all that can break into a Python program breaks into, calling the SDK from there.

Run by ``test_reentrancy.py`` in a process of its own::

    python -m tests.e2e.disturbances 5 0.1 signals logs

It works for 5 seconds, waits at most 0.1 for what is under way, prints its accounts as JSON, and
ends. When it hangs, it prints where each thread is and ends with code 1.
"""

from __future__ import annotations

import contextlib
import dataclasses
import faulthandler
import gc
import json
import logging
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from types import FrameType

import sessionfold as lai

HANG_SECONDS = 40.0
"""Beyond the time that it is to work: nobody waits that long for anything here."""

_TIMER_SECONDS = 0.001

_telling = threading.local()


class ReportingHandler(logging.Handler):
    """Reports each log record, of the SDK's own too, on a session of its own."""

    def emit(self, record: logging.LogRecord) -> None:
        """Call the SDK while the handler's lock is held."""
        lai.update_session(task="log", session_eval_reason=record.getMessage(), session_id="log")


@contextmanager
def logs() -> Iterator[None]:
    """Handlers everywhere that report; and threads that log."""
    loggers = [logging.getLogger(name) for name in ("", "sessionfold", "sessionfold.kafka")]
    for logger in loggers:
        logger.addHandler(ReportingHandler())
        logger.setLevel(logging.DEBUG)
    with thread(lambda: logging.getLogger("worker").debug("a line")):
        yield


class Finalized:
    """Part of a cycle, so that whatever allocates next may be who runs this."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        """Call the SDK from wherever the collector was started."""
        lai.update_session(task="gc", session_id="gc")


@contextmanager
def finalizers() -> Iterator[None]:
    """A collector that runs at each allocation, and garbage for it."""
    before = gc.get_threshold()
    gc.set_threshold(1)
    with thread(lambda: bool(Finalized())):
        try:
            yield
        finally:
            gc.set_threshold(*before)
    gc.collect()


def report_signal(_number: int, _frame: FrameType | None) -> None:
    """Call the SDK from within whatever the main thread was doing."""
    lai.update_session(task="signal", session_id="signal")
    lai.stats()
    lai.get_session_id()
    if random.random() < 0.05:
        with lai.session(session_id="signal"):
            lai.flush(0.001)


@contextmanager
def signals() -> Iterator[None]:
    """A handler that reports, every millisecond."""
    with timer(report_signal):
        yield


class StopNowError(KeyboardInterrupt):
    """Ctrl+C, told from one that a person typed."""


def interrupt(_number: int, _frame: FrameType | None) -> None:
    """Break out of whatever the main thread was doing, when it has said that it may be."""
    if getattr(_telling, "may_be_interrupted", False):
        raise StopNowError


@contextmanager
def interrupts() -> Iterator[None]:
    """A handler that raises, every millisecond."""
    with timer(interrupt):
        yield


@contextmanager
def timer(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call ``handler`` every millisecond, from within whatever the main thread is doing."""
    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, _TIMER_SECONDS, _TIMER_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def reporting_mask(text: str) -> str:
    """Call the SDK on another session while a call of this one is under way."""
    lai.update_session(task="mask", session_id="mask")
    return text


@contextmanager
def masks() -> Iterator[None]:
    """A session whose texts are masked by a function that reports."""

    def work() -> None:
        with lai.session(session_id="masked", task="masked", masking_function=reporting_mask):
            lai.update_session("masked", is_successful_reason="masked")

    with thread(work):
        yield


def on_failure(failure: lai.Failure) -> None:
    """Do in the callback what one must not do, and then raise."""
    lai.update_session(task="failure", session_eval_reason=failure.reason, session_id="failure")
    lai.stats()
    lai.flush(0.01)
    with lai.session(session_id="failure"):
        lai.end_session(wait_for_flush=True)
    raise RuntimeError(failure.reason)


@contextmanager
def failures() -> Iterator[None]:
    """The callback is there always; this only asks for more of what it is called for."""
    with thread(lambda: lai.update_session(task="flood", session_id="flood")):
        yield


@contextmanager
def thread(work: Callable[[], object]) -> Iterator[None]:
    """Repeat ``work`` in a thread as long as the block lasts."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(0.0005):
            work()

    repeating = threading.Thread(target=repeat)
    repeating.start()
    try:
        yield
    finally:
        done.set()
        repeating.join()


DISTURBANCES: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "logs": logs,
    "finalizers": finalizers,
    "signals": signals,
    "masks": masks,
    "failures": failures,
    "interrupts": interrupts,
}


def work(name: str) -> None:
    """What the worker is for: a session and one within it; each text is the session it is about."""
    with lai.session(session_id=name, task=name):
        lai.update_session(name, 0.5, name)
        lai.init(session_id=f"{name}.inner")
        lai.update_session(f"{name}.inner")
        lai.end_session(is_successful=True)
        lai.update_session(name)
        lai.flush(0.001)


def work_interruptibly(name: str) -> None:
    """The same; it may be broken off at any place."""
    _telling.may_be_interrupted = True
    try:
        work(name)
    finally:
        _telling.may_be_interrupted = False


def books_balance() -> bool:
    """Say whether every update is accounted for, at this moment."""
    stats = lai.stats()
    parts = stats.delivered + stats.spooled + stats.dropped + stats.in_flight
    return stats.accepted == parts and stats.in_flight >= 0


def main(seconds: float, flush_seconds: float, names: list[str]) -> None:
    """Work, disturbed; then print the accounts and how often they did not balance."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(seconds + HANG_SECONDS, exit=True)
    lai.configure(on_failure=on_failure if "failures" in names else None)
    work("first")  # imports what only a first call needs: test_reentrancy.py has a test of its own
    wrong: list[bool] = []
    ends = time.monotonic() + seconds
    with ExitStack() as disturbances:
        for name in names:
            disturbances.enter_context(DISTURBANCES[name]())
        disturbances.enter_context(thread(lambda: wrong.append(True) if not books_balance() else 0))
        disturbances.enter_context(thread(lambda: work(f"thread-{threading.get_ident()}")))
        rounds = 0
        while time.monotonic() < ends:
            rounds += 1
            with contextlib.suppress(StopNowError):
                work_interruptibly(f"main-{rounds}")
            lai.clear_active_session()
    _finish(rounds, len(wrong), flush_seconds)


def _finish(rounds: int, unbalanced: int, flush_seconds: float) -> None:
    for logger in ("", "sessionfold", "sessionfold.kafka"):
        logging.getLogger(logger).handlers.clear()
    flushed = lai.flush(flush_seconds)
    balance = books_balance()
    lai.shutdown(3.0)
    accounts = {
        "rounds": rounds,
        "unbalanced": unbalanced + (not balance) + (not books_balance()),
        "flushed": flushed,
        **dataclasses.asdict(lai.stats()),
    }
    os.write(1, (json.dumps(accounts) + "\n").encode())
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3:])
