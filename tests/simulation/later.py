"""Commits beside the loop, in one thread all the same: done when they are looked at, or later."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import ParamSpec, TypeVar

from .world import Crash, World

P = ParamSpec("P")
T = TypeVar("T")


class Pending(Future[T]):
    """A call that may not have been done yet."""

    def __init__(self, world: World, who: str, call: Callable[[], T]) -> None:
        super().__init__()
        self._world, self._who, self._call = world, who, call
        self._is_begun = False

    def done(self) -> bool:
        """Say whether it is done; looking may be what takes so long."""
        if self._world.random.random() < 0.5:
            self.do()
        return super().done()

    def result(self, timeout: float | None = None) -> T:
        """Do it, unless it is done, and return its result."""
        self.do()
        return super().result(timeout)

    def do(self) -> None:
        """Do the call, as its process, unless it is done."""
        if self._is_begun:
            return
        self._is_begun = True
        outer, self._world.current = self._world.current, self._who
        try:
            self.set_result(self._call())
        except BaseException as error:  # noqa: BLE001 - a crash, too, is its process's to hear of
            self.set_exception(error)
        finally:
            self._world.current = outer


class Later(Executor):
    """Takes the calls of one process; ``last`` is the last one."""

    def __init__(self, world: World, who: str) -> None:
        self._world, self._who = world, who
        self.last: Pending[object] | None = None

    def submit(self, call: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Take a call."""
        pending = Pending(self._world, self._who, lambda: call(*arguments, **named))
        self.last = pending  # type: ignore[assignment]
        return pending

    def reach_the_store(self) -> None:
        """Do the last call although its process is gone: it was on its way."""
        if self.last is not None and not Future.done(self.last):
            self._world.note("commit of one that is gone")
            with suppress(Exception, Crash):
                self.last.do()
