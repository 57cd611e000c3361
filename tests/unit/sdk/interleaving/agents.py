"""Threads and tasks that do one thing at a time, when they are told to.

An agent serves jobs: plain calls, and blocks within which it goes on serving. Only one agent works
at any moment, so a program of jobs runs the same way each time.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from queue import SimpleQueue
from typing import Any

import sessionfold as lai

Job = Callable[[], Any]

TIMEOUT_SECONDS = 60.0
"""Far more than any job takes: when it is over, an agent hangs."""


class LeaveError(Exception):
    """Raised in a block that is to be left by an exception."""


def _leave() -> None:
    """Stand for the job that ends a block, or the agent."""


def _fail() -> None:
    """Stand for the job that leaves a block by an exception."""


class Agent:
    """A thread's or task's end of the conversation, and the scheduler's.

    Args:
        loop: the event loop of a task; None for a thread.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop
        self._jobs: SimpleQueue[Job] = SimpleQueue()
        self._reports: SimpleQueue[object] = SimpleQueue()
        self._told = asyncio.Event()

    # The scheduler's side.

    def do(self, job: Job, *, awaits: bool) -> object:
        """Have a job done; return its result, or the exception that it raised.

        Args:
            awaits: whether the agent is a task that awaits its next job, and must be woken.
        """
        self.tell(job, awaits=awaits)
        return self.report()

    def leave(self, *, awaits: bool, failing: bool = False) -> object:
        """Have the innermost block left; return what leaving it gave."""
        return self.do(_fail if failing else _leave, awaits=awaits)

    def finish(self, *, awaits: bool) -> None:
        """End the agent."""
        self.tell(_leave, awaits=awaits)

    def tell(self, job: Job, *, awaits: bool) -> None:
        """Give it a job."""
        self._jobs.put(job)
        if awaits and self._loop is not None:
            self._loop.call_soon_threadsafe(self._told.set)

    def report(self) -> object:
        """Return the next report."""
        return self._reports.get(timeout=TIMEOUT_SECONDS)

    # The agent's side.

    def serve(self) -> None:
        """Do jobs until the block, or the agent, is to be left."""
        while (job := self._jobs.get()) is not _leave:
            if job is _fail:
                raise LeaveError
            self._reports.put(_outcome(job))

    async def serve_async(self) -> None:
        """Do jobs, also such that must be awaited; meanwhile the loop is free."""
        while (job := await self._next()) is not _leave:
            if job is _fail:
                raise LeaveError
            outcome = _outcome(job)
            if inspect.isawaitable(outcome):
                outcome = await _outcome_async(outcome)
            self._reports.put(outcome)

    async def _next(self) -> Job:
        while self._jobs.empty():
            await self._told.wait()
            self._told.clear()
        return self._jobs.get_nowait()

    # Jobs within which others are done.

    def in_block(self, block: AbstractContextManager[object]) -> None:
        """Be in a block; its exception ends here."""
        try:
            with block as value:
                self._reports.put(value)
                self.serve()
        except LeaveError:
            return

    async def in_block_async(self, block: AbstractAsyncContextManager[object]) -> None:
        """Be in an asynchronous block."""
        try:
            async with block as value:
                self._reports.put(value)
                await self.serve_async()
        except LeaveError:
            return

    def in_call(self, call: Callable[[Callable[[], None]], None]) -> None:
        """Be in a function that ``call`` is to call."""

        def body() -> None:
            self._reports.put(None)
            self.serve()

        try:
            call(body)
        except LeaveError:
            return

    def in_copied_context(self) -> None:
        """Be in a copy of the context."""
        self.in_call(contextvars.copy_context().run)

    async def gathering(self, *children: Agent) -> None:
        """Wait for children that run as tasks of this one."""
        self._reports.put(None)
        await asyncio.gather(*(child.serve_async() for child in children))

    def start_thread(self) -> threading.Thread:
        """Serve on a thread that inherits nothing."""
        thread = threading.Thread(target=self.serve, daemon=True)
        thread.start()
        return thread


def generator(block: AbstractContextManager[object]) -> Iterator[object]:
    """Yield once, within the block."""
    with block as value:
        yield value


async def async_generator(block: AbstractAsyncContextManager[object]) -> AsyncIterator[object]:
    """Yield once, within the block."""
    async with block as value:
        yield value


def _outcome(job: Job) -> Any:  # noqa: ANN401 - a result or an exception
    try:
        return job()
    except lai.SessionfoldError as error:
        return error


async def _outcome_async(awaitable: Awaitable[object]) -> object:
    try:
        return await awaitable
    except lai.SessionfoldError as error:
        return error
