"""Which session is current: nested calls, threads, tasks. It never guesses."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

import sessionfold as lai
from sessionfold._session import CurrentSession
from sessionfold.testing import Events

T = TypeVar("T")


def in_new_thread(work: Callable[[], T]) -> T:
    """Run in a thread that inherits no context."""
    done: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(work())
        except BaseException as error:  # noqa: BLE001 - handed over to the test
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
    return done[0]


def sessions_of(events: Events, task: str) -> list[str]:
    """Return the sessions that got this task."""
    return [event["session_id"] for event in events if event.get("task") == task]


class TestNesting:
    """A second ``init`` nests; what was current is current again after its end."""

    def test_the_outer_session_is_current_again_after_the_end(self, events: Events) -> None:
        """And stays open meanwhile."""
        outer, inner = lai.init(), lai.init()
        lai.update_session(task="inner")
        lai.end_session()
        lai.update_session(task="outer")
        assert sessions_of(events, "inner") == [inner]
        assert sessions_of(events, "outer") == [outer]
        assert [event["session_id"] for event in events if event.get("is_finished")] == [inner]

    def test_sessions_may_end_in_any_order(self, events: Events) -> None:
        """The nearest that is open is current."""
        first, second, third = lai.init(), lai.init(), lai.init()
        lai.end_session(session_id=second)
        assert lai.get_session_id() == third
        lai.end_session()
        assert lai.current_session_id.get() == lai.get_session_id() == first
        lai.end_session()
        assert lai.get_session_id() is None
        assert len(events) == 6

    def test_the_outer_session_resumed_inside_is_innermost(self, events: Events) -> None:
        """Each is current again in turn, and nothing runs in circles."""
        a, b = lai.init(), lai.init()
        lai.init(session_id=a)
        assert lai.get_session_id() == a
        lai.end_session()
        assert lai.get_session_id() == b
        lai.end_session()
        assert lai.get_session_id() is None
        assert len(events) == 5

    def test_sessions_resumed_for_ever_cost_no_memory(self, events: Events) -> None:
        """A worker that switches between sessions by init() nests no deeper than their number."""
        for _ in range(50):
            for name in ("a", "b", "c"):
                lai.init(session_id=name)
        assert nesting() == ["c", "b", "a"]
        assert len(events) == 150

    def test_an_end_elsewhere_makes_the_outer_current_here(self, events: Events) -> None:
        """A copy of the context ended the inner session; this one notices."""
        outer, inner = lai.init(), lai.init()
        contextvars.copy_context().run(lai.end_session)
        lai.update_session(task="after")
        assert sessions_of(events, "after") == [outer] != [inner]


class TestBinding:
    """``bind_session`` and ``set_active_session``."""

    def test_a_bound_session_is_current_in_the_block_only(self, events: Events) -> None:
        """It is neither begun nor ended."""
        outer = lai.init()
        with lai.bind_session("bound") as bound:
            lai.update_session(task="in")
        lai.update_session(task="out")
        assert bound == "bound"
        assert sessions_of(events, "in") == ["bound"]
        assert sessions_of(events, "out") == [outer]
        assert len(events) == 3

    def test_the_block_is_left_however_it_ends(self, events: Events) -> None:
        """An exception goes on and takes the binding along."""
        with pytest.raises(KeyError), lai.bind_session("bound"):
            raise KeyError
        assert lai.get_session_id() is None
        assert len(events) == 0

    def test_what_is_bound_and_ended_elsewhere_is_not_replaced_by_another(
        self, events: Events
    ) -> None:
        """The update raises: it must reach neither the ended session nor one around it."""
        lai.init()
        inner = lai.init()
        with lai.bind_session(inner):
            in_new_thread(lambda: lai.end_session(session_id=inner))
            with pytest.raises(lai.NoActiveSessionError, match="has ended"):
                lai.update_session(task="whose?")
        assert sessions_of(events, "whose?") == []

    def test_an_ended_session_can_be_bound_on_purpose(self, events: Events) -> None:
        """As with an explicit ID; once it is ended again, that is over."""
        ended = lai.init()
        lai.end_session()
        with lai.bind_session(ended):
            lai.update_session(task="late")
            lai.end_session()
            with pytest.raises(lai.NoActiveSessionError):
                lai.end_session()
        assert sessions_of(events, "late") == [ended]

    def test_a_session_stays_set_until_it_is_cleared(self, events: Events) -> None:
        """Clearing ends nothing; set_active_session(None) clears."""
        session = lai.init()
        lai.set_active_session("other")
        assert lai.get_session_id() == "other"
        for clear in (lai.clear_active_session, lambda: lai.set_active_session(None)):
            lai.set_active_session(session)
            clear()
            assert lai.get_session_id() is None
            with pytest.raises(lai.NoActiveSessionError, match="cleared"):
                lai.update_session(task="x")
        lai.set_active_session(session)
        lai.update_session(task="still open")
        assert sessions_of(events, "still open") == [session]

    def test_the_context_variable_can_be_set_by_hand(self, events: Events) -> None:
        """As frameworks do that carry the ID over a process boundary."""
        lai.current_session_id.set("by hand")
        assert lai.get_session_id() == "by hand"
        lai.update_session(task="x")
        assert sessions_of(events, "x") == ["by hand"]

    def test_run_in_session_passes_all_arguments_on(self, events: Events) -> None:
        """And returns what the function returns."""

        def work(*args: int, **kwargs: int) -> tuple[object, ...]:
            return lai.get_session_id(), args, kwargs

        assert lai.run_in_session("bound", work, 1, 2, key=3) == ("bound", (1, 2), {"key": 3})
        assert len(events) == 0


class TestThreads:
    """A thread that inherited no context has the process's one open session."""

    def test_the_one_open_session_is_current_in_every_thread(self, events: Events) -> None:
        """Worker threads of a process with one session need no binding."""
        session = lai.init()
        in_new_thread(lambda: lai.update_session(task="from a thread"))
        assert sessions_of(events, "from a thread") == [session]

    def test_of_several_open_sessions_none_is_chosen(self, events: Events) -> None:
        """The error names their number and how to bind."""
        first = lai.init()
        lai.init()
        with pytest.raises(lai.NoActiveSessionError, match=r"^2 sessions are open .*bind_session"):
            in_new_thread(lambda: lai.update_session(task="whose?"))
        assert in_new_thread(lai.get_session_id) is None
        in_new_thread(lambda: lai.run_in_session(first, lai.update_session, task="bound"))
        assert sessions_of(events, "bound") == [first]
        assert sessions_of(events, "whose?") == []

    def test_after_a_bound_block_a_thread_is_as_before(self, events: Events) -> None:
        """The block leaves no trace: the one open session is current again."""
        session = lai.init()

        def work() -> list[str | None]:
            with lai.bind_session("bound"):
                inside = lai.get_session_id()
            with lai.session(session_id="own"):
                pass
            return [inside, lai.get_session_id()]

        assert in_new_thread(work) == ["bound", session]
        assert len(events) == 3

    def test_a_session_that_another_thread_begins_is_not_taken(self, events: Events) -> None:
        """Here the own session has ended; the other thread's is not ours."""
        lai.init()
        lai.end_session()
        other = in_new_thread(lai.init)
        with pytest.raises(lai.NoActiveSessionError):
            lai.update_session(task="whose?")
        assert in_new_thread(lai.get_session_id) == other
        assert len(events) == 3

    def test_sessions_of_pool_threads_do_not_mix(self, events: Events) -> None:
        """Each piece of work in a block of its own, on threads that are used again."""

        def work(number: int) -> str:
            with lai.session(session_name=f"n{number}") as session:
                lai.update_session(task=f"t{number}")
                return session

        with ThreadPoolExecutor(4) as pool:
            sessions = list(pool.map(work, range(40)))
        assert [sessions_of(events, f"t{number}") for number in range(40)] == [
            [session] for session in sessions
        ]
        assert sum(event.get("is_finished", False) for event in events) == 40
        assert sorted(event["sequence"] for event in events) == list(range(120))


class TestTasks:
    """In asyncio the context variable is the task's."""

    def test_sessions_of_tasks_do_not_mix(self, events: Events) -> None:
        """Each task begins its own; they run in turns."""

        async def work(number: int) -> str:
            session = lai.init()
            await asyncio.sleep(0)
            lai.update_session(task=f"t{number}")
            await asyncio.sleep(0)
            await lai.aend_session()
            return session

        async def main() -> list[str]:
            return await asyncio.gather(*(work(number) for number in range(5)))

        sessions = asyncio.run(main())
        for number, session in enumerate(sessions):
            assert sessions_of(events, f"t{number}") == [session]

    def test_a_task_inherits_the_session_it_was_started_in(self, events: Events) -> None:
        """And so does a thread that runs for it."""

        async def main() -> str:
            async with lai.session_async() as session:
                await asyncio.create_task(lai.aupdate_session(task="child"))
                await asyncio.to_thread(lai.update_session, task="thread")
            return session

        session = asyncio.run(main())
        assert sessions_of(events, "child") == sessions_of(events, "thread") == [session]

    def test_a_task_without_a_session_does_not_take_another_tasks(self, events: Events) -> None:
        """One request must not report on the session of the other, though it is the only one."""

        async def begin(begun: asyncio.Event, done: asyncio.Event) -> None:
            lai.init()
            begun.set()
            await done.wait()

        async def main() -> None:
            begun, done = asyncio.Event(), asyncio.Event()
            other = asyncio.create_task(begin(begun, done))
            await begun.wait()
            with pytest.raises(lai.NoActiveSessionError, match="belongs to another task"):
                lai.update_session(task="whose?")
            done.set()
            await other

        asyncio.run(main())
        assert sessions_of(events, "whose?") == []

    def test_a_session_of_the_program_is_current_in_its_tasks(self, events: Events) -> None:
        """Begun before the loop, it is in every task's context."""
        session = lai.init()
        asyncio.run(lai.aupdate_session(task="in the loop"))
        assert sessions_of(events, "in the loop") == [session]

    def test_an_executor_thread_has_the_one_open_session(self, events: Events) -> None:
        """It inherits no context, and the session was begun in a task."""

        async def main() -> str:
            session = lai.init()
            work = lambda: lai.update_session(task="executor")  # noqa: E731
            await asyncio.get_running_loop().run_in_executor(None, work)
            return session

        session = asyncio.run(main())
        assert sessions_of(events, "executor") == [session]

    def test_bind_session_async_binds_the_task(self, events: Events) -> None:
        """The other task keeps what it had."""

        async def bound(name: str) -> str | None:
            async with lai.bind_session_async(name):
                await asyncio.sleep(0)
                return lai.get_session_id()

        async def main() -> list[str | None]:
            return [*await asyncio.gather(bound("a"), bound("b")), lai.get_session_id()]

        assert asyncio.run(main()) == ["a", "b", None]
        assert len(events) == 0

    def test_a_block_that_is_closed_in_another_context_does_no_harm(self, events: Events) -> None:
        """As an async generator's clean-up may be: the session ends, that context stays."""
        block = lai.session()
        contextvars.copy_context().run(block.__enter__)
        with lai.bind_session("here"):
            block.__exit__(None, None, None)
            assert lai.get_session_id() == "here"
        assert events[-1]["is_finished"] is True


def nesting() -> list[str]:
    """Return the current session and those it is nested in, innermost first."""
    found = []
    current = lai.current_session_id.get()
    while isinstance(current, CurrentSession):
        found.append(str(current))
        current = current.outer
    return found
