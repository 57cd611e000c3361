"""A worker whose threads hold locks all the time, and that forks and forks.

Run by ``test_fork_storm.py`` in a process of its own::

    python -m tests.e2e.fork_storm 40

Prints, as JSON, the exit codes of its children and its own accounts. A child that hangs prints
where, and ends with code 1.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import gc
import json
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import sessionfold as lai

HANG_SECONDS = 60.0
AT_ONCE = 6

logger = logging.getLogger("storm")


class ReportingHandler(logging.Handler):
    """Calls the SDK with the handler's lock held, and keeps it for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        """Report the line."""
        lai.update_session(task=record.getMessage(), session_id=f"log-{os.getpid()}")
        time.sleep(0.001)


class Finalized:
    """Calls the SDK from the collector."""

    def __init__(self) -> None:
        self.itself = self

    def __del__(self) -> None:
        """Report."""
        lai.update_session(task="gc", session_id=f"gc-{os.getpid()}")


def collect() -> None:
    """Have finalizers call the SDK while the collector runs."""
    Finalized()
    gc.collect(0)


@contextmanager
def thread(work: Callable[[], object]) -> Iterator[None]:
    """Repeat ``work`` in a thread as long as the block lasts; in a forked child there is none."""
    done = threading.Event()

    def repeat() -> None:
        while not done.wait(0.0002):
            work()

    repeating = threading.Thread(target=repeat, daemon=True)
    repeating.start()
    yield
    done.set()
    repeating.join()


def child(number: int) -> None:
    """What a child does; it ends in one of the ways in which children end.

    Its events: on a session of its own, also from a thread and through a log handler, and one on
    its parent's session.
    """
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    way = number % 4
    if way != 0:
        name = f"child-{number}"
        with lai.session(session_id=name, task=name):
            lai.update_session(task=name)
            logger.warning("child")
            reporting = threading.Thread(target=lai.run_in_session, args=[name, report, name])
            reporting.start()
            reporting.join()
        lai.update_session(task=name, session_id="parent")
    if way == 1:
        os._exit(0 if lai.flush(HANG_SECONDS) else 2)
    if way == 2:
        lai.shutdown(HANG_SECONDS)
        os._exit(0)
    sys.exit(0)


def report(name: str) -> None:
    """Report from a thread of the child."""
    lai.update_session(task=name, session_eval=1)


def fork(number: int) -> int:
    """Fork; return the child's process ID."""
    pid = os.fork()
    if pid == 0:
        child(number)
    return pid


def fork_in_thread(number: int) -> int:
    """Fork in another thread than the main one; its child must end there."""
    pids: list[int] = []

    def run() -> None:
        pid = os.fork()
        if pid == 0:
            try:
                child(number)
            except SystemExit:
                os._exit(0 if lai.flush(HANG_SECONDS) else 2)
        pids.append(pid)

    forking = threading.Thread(target=run)
    forking.start()
    forking.join()
    return pids[0]


def storm(forks: int) -> list[int]:
    """Fork so often, a few children at a time; return their exit codes."""
    codes: list[int] = []
    running: set[int] = set()
    for number in range(forks):
        running.add(fork_in_thread(number) if number % 5 == 4 else fork(number))
        lai.update_session(task="parent", session_eval=number)
        while len(running) >= AT_ONCE or (number == forks - 1 and running):
            pid, status = os.wait()
            running.remove(pid)
            codes.append(os.waitstatus_to_exitcode(status))
    return codes


def main(forks: int) -> None:
    """Fork while threads hold the locks of logging, of the collector, and of the SDK."""
    warnings.simplefilter("ignore", DeprecationWarning)  # of forking with threads
    faulthandler.enable()
    lai.configure(exit_timeout_seconds=HANG_SECONDS)
    lai.init(session_id="parent", task="parent")
    logger.addHandler(ReportingHandler())
    with ExitStack() as threads:
        threads.enter_context(thread(lambda: logger.warning("line")))
        threads.enter_context(thread(collect))
        threads.enter_context(thread(lai.stats))
        threads.enter_context(thread(lambda: lai.flush(0.0005)))
        threads.enter_context(thread(lambda: lai.run_session(report, "busy")))
        codes = storm(forks)
    lai.end_session()
    lai.flush(HANG_SECONDS)
    lai.shutdown(HANG_SECONDS)
    accounts = {"codes": codes, **dataclasses.asdict(lai.stats())}
    os.write(1, (json.dumps(accounts) + "\n").encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
