"""Workers with children: forked with the parent's queue full, and ending in ways of their own.

The parent prints how its child ended: an exit code, or minus the number of a signal.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import NoReturn

from tests.e2e.ends.work import Worker


def fork_returns() -> None:
    """A child of ``os.fork`` leaves by ``sys.exit``; its parent returns."""
    parent_with(partial(fork, lambda _: sys.exit(6)))


def fork_exits() -> None:
    """A child of ``os.fork`` leaves by ``os._exit``."""
    parent_with(partial(fork, lambda _: os._exit(7)))


def fork_in_session() -> None:
    """A child of ``os.fork`` goes on with the session that its parent is in."""

    def go_on(worker: Worker) -> NoReturn:
        worker.call_in_current_session()
        sys.exit(0)

    parent_with(partial(fork, go_on, begins=False))


def process_returns(method: str) -> None:
    """A child of multiprocessing returns."""
    parent_with(partial(process, method, child_that_returns))


def process_raises(method: str) -> None:
    """A child of multiprocessing leaves by an exception."""
    parent_with(partial(process, method, child_that_raises))


def process_is_terminated(method: str) -> None:
    """A child of multiprocessing is ended by ``terminate()``."""
    parent_with(partial(process, method, child_that_stays, terminated=True))


def pool() -> None:
    """A child of a ``ProcessPoolExecutor`` has done its task; the pool is shut down."""
    parent = Worker()
    parent.run()
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, mp_context=context) as executor:
        executor.submit(child_in_pool).result()
        parent.wait("end")


def parent_with(run_child: Callable[[Worker], int | None]) -> None:
    """Do the parent's work, then run a child to its end and say what that was."""
    parent = Worker()
    parent.run()
    sys.stdout.write(f"{run_child(parent)}\n")


def fork(leave: Callable[[Worker], object], _: Worker, *, begins: bool = True) -> int:
    """Fork a child that works and leaves; return how it ended."""
    pid = os.fork()
    if pid == 0:
        worker = Worker("child")
        if begins:
            worker.begin()
        worker.fill()
        worker.wait("end")
        leave(worker)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def process(
    method: str, target: Callable[[], object], parent: Worker, *, terminated: bool = False
) -> int | None:
    """Run a child of multiprocessing; return how it ended."""
    multiprocessing.set_start_method(method)
    started = multiprocessing.Process(target=target)
    started.start()
    if terminated:
        parent.wait("end")
        started.terminate()
    started.join()
    return started.exitcode


def child() -> Worker:
    """Work without having heard of the broker: it may be frozen, or down."""
    worker = Worker("child")
    worker.run()
    return worker


def child_in_pool() -> None:
    """Do the one task."""
    child()


def child_that_returns() -> None:
    """Work, then return."""
    child().wait("end")


def child_that_raises() -> None:
    """Work, then leave by an exception."""
    child().wait("end")
    raise RuntimeError("the child's own")


def child_that_stays() -> None:
    """Work, then wait to be ended."""
    child()
    time.sleep(60)


KINDS: dict[str, Callable[[], None]] = {
    each.__name__: each for each in (fork_returns, fork_exits, fork_in_session, pool)
} | {
    f"{each.__name__}.{method}": partial(each, method)
    for each in (process_returns, process_raises, process_is_terminated)
    for method in ("fork", "forkserver", "spawn")
}
