"""Calls that an executor has taken and not done: for what happens while something is under way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Pending(Future[T]):
    """A call that is done when its result is asked for, or before by :meth:`do`; never twice."""

    def __init__(self, call: Callable[[], T]) -> None:
        super().__init__()
        self._call = call
        self._is_begun = False

    def result(self, timeout: float | None = None) -> T:
        """Do it, unless it is done, and return its result."""
        self.do()
        return super().result(timeout)

    def do(self) -> None:
        """Do it, unless it was begun; keep its result, or how it ended."""
        if self._is_begun:
            return
        self._is_begun = True
        try:
            self.set_result(self._call())
        except BaseException as error:  # noqa: BLE001 - also a simulated end of its process
            self.set_exception(error)
