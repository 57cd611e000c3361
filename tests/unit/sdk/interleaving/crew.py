"""Threads and tasks as a program has them: begun in every way, one of them chosen at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

import sessionfold as lai
from tests.unit.sdk.interleaving.agents import Agent
from tests.unit.sdk.interleaving.model import Context, Nesting


@dataclass(eq=False)
class Frame:
    """A block that an agent is in.

    Attributes:
        context: the one that calls in it see.
        session: what the block begins, and so ends.
        restores: whether leaving it makes current again what was, which is ``before``.
        is_async: whether the agent awaits its jobs in it.
    """

    context: Context
    is_async: bool
    session: str | None = None
    restores: bool = False
    before: Nesting | None = None


@dataclass(eq=False)
class Suspended:
    """A generator that stands at its ``yield``, and the block that it is in."""

    steps: Iterator[object] | AsyncIterator[object]
    frame: Frame


@dataclass(eq=False)
class Actor:
    """What the program knows of an agent.

    Attributes:
        frames: the blocks that it is in, innermost last; the first is the agent itself.
        parent: the task that gathers it.
        children: how many it gathers, itself waiting.
    """

    name: str
    agent: Agent
    frames: list[Frame]
    is_task: bool = False
    parent: Actor | None = None
    children: int = 0

    @property
    def top(self) -> Frame:
        """The innermost block."""
        return self.frames[-1]


Step = Callable[[Actor], None]
"""Something that an agent does, or that is done beside it."""


class Crew:
    """The agents of one program, and what they run on.

    Attributes:
        trace: the steps so far, for people.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.trace: list[str] = []
        self.actors: list[Actor] = []
        self.random = Random(seed)
        self._numbers = iter(range(1_000_000))
        self._loop = asyncio.new_event_loop()
        self._loop_thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._loop_thread.start()
        self._tasks: list[asyncio.Task[None]] = []
        self._pool = ThreadPoolExecutor(1)
        self._pool_context = Context()
        self._pool_actor: Actor | None = None

    def close(self) -> None:
        """Send home whoever is left, and stop."""
        for actor in self.actors:
            for _ in actor.frames:
                actor.agent.finish(awaits=True)
        self._pool.shutdown()
        asyncio.run_coroutine_threadsafe(_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._loop_thread.join()
        self._loop.close()

    def able(self) -> list[Actor]:
        """Return the actors that can do something now: a task that blocks its loop keeps others."""
        waiting = [actor for actor in self.actors if not actor.children]
        blocking = [actor for actor in waiting if actor.is_task and not actor.top.is_async]
        return [a for a in waiting if not a.is_task or not blocking or a in blocking]

    def spawning(self, actor: Actor) -> list[tuple[Step, int]]:
        """Return the ways to begin an agent now, with their weights."""
        choices: list[tuple[Step, int]] = [(self.start_thread, 1)]
        if self._pool_actor is None:
            choices += [(self._submit, 2)]
        if all(each.top.is_async for each in self.actors if each.is_task):
            choices += [(self.start_task, 6)]
        if actor.is_task:
            choices += [(self._create_task, 8)]
        if actor.top.is_async:
            choices += [(self._to_thread, 6), (self._gather, 6)]
        return choices

    def start_thread(self, _: Actor | None = None) -> None:
        """Start a plain thread; it inherits no context."""
        actor = self._add("thread", Context())
        actor.agent.start_thread()

    def start_task(self, _: Actor) -> None:
        """Start a task that no other one started."""
        actor = self._add("task", Context(), is_task=True)
        asyncio.run_coroutine_threadsafe(actor.agent.serve_async(), self._loop)

    def finish(self, actor: Actor) -> None:
        """End an agent that is in no block; who gathered it goes on after the last one."""
        actor.agent.finish(awaits=actor.top.is_async)
        self.actors.remove(actor)
        if actor is self._pool_actor:
            self._pool_actor = None
        parent = actor.parent
        if parent is not None:
            parent.children -= 1
            if not parent.children:
                assert parent.agent.report() is None

    def do(self, actor: Actor, job: Callable[[], object]) -> object:
        """Have a job done; return what came of it."""
        return actor.agent.do(job, awaits=actor.top.is_async)

    def expect(
        self, actor: Actor, job: Callable[[], object], *, gives: object = None, raises: bool = False
    ) -> None:
        """Have a job done, and expect its result, or that no session is current."""
        outcome = self.do(actor, job)
        right = isinstance(outcome, lai.NoActiveSessionError) if raises else outcome == gives
        wanted = "NoActiveSessionError" if raises else gives
        assert right, self.explained(f"{outcome!r} instead of {wanted}")

    def new(self, kind: str) -> str:
        """Return a name that is not in use."""
        return f"{kind}-{next(self._numbers)}"

    def explained(self, problem: str) -> str:
        """Return the problem with all that led to it."""
        return "\n".join([f"seed {self.seed}: {problem}", *self.trace])

    def _submit(self, _: Actor) -> None:
        """A pool's thread keeps what the work before left current."""
        self._pool_actor = self._add("pool", self._pool_context)
        self._pool.submit(self._pool_actor.agent.serve)

    def _create_task(self, actor: Actor) -> None:
        child = self._add("child", actor.top.context.copy(), is_task=True)
        self.do(actor, lambda: self._keep(self._loop.create_task(child.agent.serve_async())))

    def _to_thread(self, actor: Actor) -> None:
        child = self._add("to_thread", actor.top.context.copy())
        serving = asyncio.to_thread(child.agent.serve)
        self.do(actor, lambda: self._keep(self._loop.create_task(serving)))

    def _gather(self, actor: Actor) -> None:
        children = [self._add("gathered", actor.top.context.copy(), is_task=True) for _ in "ab"]
        for child in children:
            child.parent = actor
        agents = [child.agent for child in children]
        self.do(actor, lambda: actor.agent.gathering(*agents))
        actor.children = len(children)

    def _add(self, kind: str, context: Context, *, is_task: bool = False) -> Actor:
        agent = Agent(self._loop)
        actor = Actor(self.new(kind), agent, [Frame(context, is_async=is_task)], is_task=is_task)
        self.actors.append(actor)
        return actor

    def _keep(self, task: asyncio.Task[None]) -> None:
        """The loop holds tasks weakly only."""
        self._tasks.append(task)


async def _others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    await asyncio.gather(*others, return_exceptions=True)
    loop = asyncio.get_running_loop()
    await loop.shutdown_asyncgens()
    await loop.shutdown_default_executor()
