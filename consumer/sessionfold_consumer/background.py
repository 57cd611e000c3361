"""Where commits are written: in a thread of their own, or at once."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def one_thread() -> Executor:
    """Return what does one call after the other, beside its caller."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="sessionfold-store")


class Paced(Executor):
    """Has calls done by another executor, not all of the time: others use what they use, too.

    Args:
        executor: does one call after the other.
        share: the largest part of the time that calls may take, more than 0 and at most 1; before
            each one enough time passes for that, which may have passed anyway.
        clock: seconds that never run backwards.
        sleep: lets seconds pass.
    """

    def __init__(
        self,
        executor: Executor,
        share: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._executor = executor
        self._rest = 1 / share - 1
        self._clock = clock
        self._sleep = sleep
        self._free_at = clock()

    def submit(self, call: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Have a call done when its time has come; return its outcome."""

        def do() -> T:
            self._sleep(max(0.0, self._free_at - self._clock()))
            began = self._clock()
            try:
                return call(*arguments, **named)
            finally:
                ended = self._clock()
                self._free_at = ended + (ended - began) * self._rest

        return self._executor.submit(do)


class AtOnce(Executor):
    """Does each call before it returns: for tests, and where there is nothing to be beside."""

    def submit(self, call: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Do a call; return its outcome."""
        future: Future[T] = Future()
        try:
            future.set_result(call(*arguments, **named))
        except BaseException as error:  # noqa: BLE001 - the outcome is the caller's to look at
            future.set_exception(error)
        return future
