"""Where commits are written: in a thread of their own, or at once."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def one_thread() -> Executor:
    """Return what does one call after the other, beside its caller."""
    return ThreadPoolExecutor(max_workers=1, thread_name_prefix="sessionfold-store")


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
