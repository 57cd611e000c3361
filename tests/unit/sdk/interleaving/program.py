"""A random program of threads, tasks and sessions, compared with the model at each step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import sessionfold as lai
from sessionfold.testing import Events
from tests.unit.sdk.interleaving.agents import async_generator, generator
from tests.unit.sdk.interleaving.crew import Actor, Crew, Frame, Step, Suspended
from tests.unit.sdk.interleaving.model import World

FOREIGN = ("elsewhere-0", "elsewhere-1")
"""Sessions that another process began."""

MOST_AGENTS = 6
MOST_BLOCKS = 6
MOST_SESSIONS = 12


class Program(Crew):
    """One program. The same seed gives the same steps.

    Attributes:
        world: what must be so after the steps that were taken.
    """

    def __init__(self, seed: int, steps: int) -> None:
        super().__init__(seed)
        self.world = World()
        self._steps = steps
        self._suspended: list[Suspended] = []
        self._begun: list[str] = []

    def run(self, events: Events) -> None:
        """Run it to its end.

        Raises:
            AssertionError: when a step or an event differs from the model's.
        """
        try:
            self.start_thread()
            for _ in range(self._steps):
                self._step()
            self._wind_up()
        finally:
            self.close()
        told = [(event["session_id"], _kind(event)) for event in events]
        assert told == self.world.published, self.explained("the events differ")

    def _step(self) -> None:
        actor = self.random.choice(self.able())
        weighted = self._choices(actor)
        choice = self.random.choices([each for each, _ in weighted], [w for _, w in weighted])[0]
        self.trace.append(f"{actor.name}: {choice.__name__.strip('_')}")
        choice(actor)

    def _choices(self, actor: Actor) -> list[tuple[Step, int]]:
        choices: list[tuple[Step, int]] = [
            (self._update, 30), (self._look, 5), (self._init, 9), (self._end, 7),
            (self._update_other, 3), (self._end_other, 3), (self._resume, 1),
            (self._set_active, 2), (self._clear_active, 1), (self._enter, 12),
        ]  # fmt: skip
        if len(actor.frames) > 1:
            choices += [(self._leave, 14)]
        if len(self._suspended) < 3:
            choices += [(self._start_generator, 3)]
        if any(self._can_advance(actor, each) for each in self._suspended):
            choices += [(self._end_generator, 6)]
        if len(self.actors) < MOST_AGENTS:
            choices += self.spawning(actor)
        if len(self.able()) > 1 and len(actor.frames) == 1:
            choices += [(self.finish, 2)]
        return choices

    # Calls.

    def _update(self, actor: Actor) -> None:
        """To the current session, whichever that is."""
        text = self.new("t")
        current = self._current(actor)
        self.expect(actor, partial(lai.update_session, task=text), raises=current is None)
        if current is not None:
            self.world.published.append((current, text))

    def _look(self, actor: Actor) -> None:
        found = self.do(actor, lai.get_session_id)
        assert found == self._current(actor), self.explained(f"current is {found}")

    def _init(self, actor: Actor) -> None:
        if len(self._begun) < MOST_SESSIONS:
            session = self._new_session()
            self.expect(actor, partial(lai.init, session_id=session), gives=session)
            self.world.begin(actor.top.context, session, in_task=actor.is_task)

    def _resume(self, actor: Actor) -> None:
        if self._begun:
            session = self.random.choice(self._begun)
            self.expect(actor, partial(lai.init, session_id=session), gives=session)
            self.world.begin(actor.top.context, session, in_task=actor.is_task)

    def _end(self, actor: Actor) -> None:
        current = self._current(actor)
        self.expect(actor, lai.end_session, raises=current is None)
        if current is not None:
            self.world.end(actor.top.context, current)

    def _update_other(self, actor: Actor) -> None:
        text, session = self.new("t"), self._any_session()
        self.expect(actor, partial(lai.update_session, task=text, session_id=session))
        self.world.published.append((session, text))

    def _end_other(self, actor: Actor) -> None:
        session = self._any_session()
        self.expect(actor, partial(lai.end_session, session_id=session))
        self.world.end(actor.top.context, session)

    def _set_active(self, actor: Actor) -> None:
        session = self._any_session()
        self.expect(actor, partial(lai.set_active_session, session))
        self.world.bind(actor.top.context, session)

    def _clear_active(self, actor: Actor) -> None:
        clears: list[Callable[[], None]] = [
            lai.clear_active_session,
            partial(lai.set_active_session, None),
        ]
        self.expect(actor, self.random.choice(clears))
        actor.top.context.nesting = ()

    # Blocks.

    def _enter(self, actor: Actor) -> None:
        enter = self.random.choice([self._enter_session, self._enter_bound, self._enter_copy])
        if len(actor.frames) < MOST_BLOCKS:
            enter(actor)

    def _enter_session(self, actor: Actor) -> None:
        if len(self._begun) == MOST_SESSIONS:
            return
        session = self._new_session()
        frame = self._frame(actor, session=session)
        agent = actor.agent
        if frame.is_async:
            block = lai.session_async(session_id=session)
            self.expect(actor, partial(agent.in_block_async, block), gives=session)
        elif self.random.random() < 0.5:
            self.expect(
                actor, partial(agent.in_block, lai.session(session_id=session)), gives=session
            )
        else:
            call = partial(lai.run_session, init_params={"session_id": session})
            self.expect(actor, partial(agent.in_call, call))
        self._opened(actor, frame)

    def _enter_bound(self, actor: Actor) -> None:
        session = self._any_session()
        frame = self._frame(actor)
        agent = actor.agent
        if frame.is_async:
            block = lai.bind_session_async(session)
            self.expect(actor, partial(agent.in_block_async, block), gives=session)
        elif self.random.random() < 0.5:
            self.expect(actor, partial(agent.in_block, lai.bind_session(session)), gives=session)
        else:
            self.expect(actor, partial(agent.in_call, partial(lai.run_in_session, session)))
        self._opened(actor, frame, bound=session)

    def _enter_copy(self, actor: Actor) -> None:
        self.expect(actor, actor.agent.in_copied_context)
        actor.frames.append(Frame(actor.top.context.copy(), is_async=False))

    def _leave(self, actor: Actor) -> None:
        frame = actor.top
        failing = self.random.random() < 0.3
        outcome = actor.agent.leave(awaits=frame.is_async, failing=failing)
        assert outcome is None, self.explained(f"leaving gave {outcome!r}")
        actor.frames.pop()
        self._closed(actor, frame)

    def _start_generator(self, actor: Actor) -> None:
        """Let one be at its ``yield`` within a block; who started it goes on."""
        bound = self.random.random() < 0.5 or len(self._begun) == MOST_SESSIONS
        session = self._any_session() if bound else self._new_session()
        frame = self._frame(actor, session=None if bound else session)
        steps: Iterator[object] | AsyncIterator[object]
        if frame.is_async:
            steps = async_generator(
                lai.bind_session_async(session) if bound else lai.session_async(session_id=session)
            )
            first: Callable[[], object] = steps.__anext__
        else:
            steps = generator(
                lai.bind_session(session) if bound else lai.session(session_id=session)
            )
            first = steps.__next__
        self.expect(actor, first, gives=session)
        self._opened(actor, frame, bound=session if bound else None, stays=True)
        self._suspended.append(Suspended(steps, frame))

    def _end_generator(self, actor: Actor) -> None:
        """Let any agent that can finish one, also in another context."""
        able = [each for each in self._suspended if self._can_advance(actor, each)]
        suspended = self.random.choice(able)
        steps: Any = suspended.steps
        if suspended.frame.is_async:
            close = self.random.choice([steps.aclose, lambda: anext(steps, None)])
        else:
            close = self.random.choice([steps.close, lambda: next(steps, None)])
        self.expect(actor, close)
        self._suspended.remove(suspended)
        self._closed(actor, suspended.frame)

    def _can_advance(self, actor: Actor, suspended: Suspended) -> bool:
        return actor.top.is_async or not suspended.frame.is_async

    def _wind_up(self) -> None:
        """Leave every block and end every agent; those that others wait for first."""
        while self.actors:
            actor = self.random.choice(self.able())
            able = [each for each in self._suspended if self._can_advance(actor, each)]
            if able and len(actor.frames) == 1:
                self._end_generator(actor)
            elif len(actor.frames) > 1:
                self._leave(actor)
            elif len(self.actors) == 1 and self._suspended:
                self.start_task(actor)
            else:
                self.finish(actor)

    # What they share.

    def _frame(self, actor: Actor, *, session: str | None = None) -> Frame:
        is_async = actor.top.is_async and self.random.random() < 0.6
        context = actor.top.context
        return Frame(
            context, is_async=is_async, session=session, restores=True, before=context.nesting
        )

    def _opened(
        self, actor: Actor, frame: Frame, *, bound: str | None = None, stays: bool = False
    ) -> None:
        if frame.session is not None:
            self.world.begin(frame.context, frame.session, in_task=actor.is_task)
        elif bound is not None:
            self.world.bind(frame.context, bound)
        if not stays:
            actor.frames.append(frame)

    def _closed(self, actor: Actor, frame: Frame) -> None:
        """Follow the end of a block, which may come in another context than its begin."""
        if frame.session is not None and frame.session not in self.world.ended:
            self.world.end_block(frame.session)
        if frame.restores and frame.context is actor.top.context:
            frame.context.nesting = frame.before

    def _current(self, actor: Actor) -> str | None:
        return self.world.current(actor.top.context, in_task=actor.is_task)

    def _any_session(self) -> str:
        return self.random.choice([*self._begun, *FOREIGN])

    def _new_session(self) -> str:
        self._begun.append(self.new("session"))
        return self._begun[-1]


def _kind(event: dict[str, Any]) -> str:
    finished = event.get("is_finished")
    return str(event.get("task", "end" if finished else "begin"))
