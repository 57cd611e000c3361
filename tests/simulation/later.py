"""Commits beside the loop, in one thread all the same: done when they are looked at, or later."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from typing import ParamSpec, TypeVar

from tests.pending import Pending

from .world import Crash, World

P = ParamSpec("P")
T = TypeVar("T")


class Lingering(Pending[T]):
    """A call of one process; looking whether it is done may be what takes so long."""

    def __init__(self, world: World, who: str, call: Callable[[], T]) -> None:
        super().__init__(call)
        self._world, self._who = world, who

    def done(self) -> bool:
        """Say whether it is done."""
        if self._world.random.random() < 0.5:
            self.do()
        return super().done()

    def do(self) -> None:
        """Do the call as its process."""
        outer, self._world.current = self._world.current, self._who
        try:
            super().do()
        finally:
            self._world.current = outer


class Later(Executor):
    """Takes the calls of one process; ``last`` is the last one."""

    def __init__(self, world: World, who: str) -> None:
        self._world, self._who = world, who
        self.last: Lingering[object] | None = None

    def submit(self, call: Callable[P, T], /, *arguments: P.args, **named: P.kwargs) -> Future[T]:
        """Take a call."""
        pending = Lingering(self._world, self._who, lambda: call(*arguments, **named))
        self.last = pending  # type: ignore[assignment]
        return pending

    def reach_the_store(self) -> None:
        """Do the last call although its process is gone: it was on its way."""
        if self.last is not None and not Future.done(self.last):
            self._world.note("commit of one that is gone")
            with suppress(Exception, Crash):
                self.last.do()
