"""The workers that end by themselves or by a signal: ``python -m tests.e2e.ends.worker KIND``."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import sessionfold as lai
from tests.e2e.ends import children
from tests.e2e.ends.work import Worker

LATER_CALLS = 200
"""Calls that a thread makes after the main thread has returned."""


def normal() -> None:
    """Return from the main module."""
    ready_to_end()


def sys_exit() -> None:
    """Leave by ``sys.exit``."""
    ready_to_end()
    sys.exit(3)


def exception() -> None:
    """Leave by an exception that nobody catches."""
    ready_to_end()
    raise RuntimeError("the worker's own")


def os_exit() -> None:
    """Leave without any handler."""
    ready_to_end()
    os._exit(4)


def is_signalled() -> None:
    """Wait for a signal that ends the process."""
    Worker().run()
    time.sleep(60)


def handles_sigterm() -> None:
    """Leave by ``sys.exit`` in the worker's own handler of SIGTERM."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        sys.exit(5)

    signal.signal(signal.SIGTERM, leave)
    is_signalled()


def daemon_thread() -> None:
    """Return while a daemon thread goes on making calls."""
    busy = Worker("thread")
    busy.begin()

    def work() -> None:
        while True:
            busy.wait_for_room()
            try:
                busy.call()
            except lai.ClosedError:
                return
            time.sleep(0.0005)

    threading.Thread(target=work, daemon=True).start()
    ready_to_end()


def other_thread() -> None:
    """Return while a thread, for which Python waits, makes some more calls."""
    later = Worker("thread")
    main = threading.main_thread()

    def work() -> None:
        main.join()
        later.begin()
        for _ in range(LATER_CALLS):
            later.call()

    threading.Thread(target=work).start()
    ready_to_end()


def next_process() -> None:
    """Come when the others are gone, and stay until what they left on disk is sent."""
    spool = Path(os.environ["SESSIONFOLD_SPOOL_DIRECTORY"])
    Worker("next").begin()
    while any(spool.glob("*.spool")):
        time.sleep(0.05)


def ready_to_end() -> None:
    """Do the work, up to the moment before the end."""
    worker = Worker()
    worker.run()
    worker.wait("end")


KINDS: dict[str, Callable[[], None]] = {
    each.__name__: each
    for each in (
        normal,
        sys_exit,
        exception,
        os_exit,
        is_signalled,
        handles_sigterm,
        daemon_thread,
        other_thread,
        next_process,
    )
} | children.KINDS

if __name__ == "__main__":
    KINDS[sys.argv[1]]()
