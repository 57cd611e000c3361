"""Random programs of threads, tasks and nested sessions: no event on a wrong session."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

import sessionfold as lai
from sessionfold import testing
from sessionfold.testing import Events
from tests.unit.sdk.interleaving.program import Program


@pytest.mark.parametrize("first", range(0, 1_000, 100))
def test_no_event_is_on_a_wrong_session(first: int) -> None:
    """A hundred programs, each step and each event checked against a second writing of the rule."""
    for seed in range(first, first + 100):
        run(seed, 60)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(1_000_000, 1_010_000, 1_000))
def test_no_event_of_longer_programs_is_on_a_wrong_session(first: int) -> None:
    """Of 10,000, of which some are new whenever the generator changes."""
    for seed in range(first, first + 1_000):
        run(seed, 150)


def test_a_seed_replays() -> None:
    """So a failure can be looked at again."""
    assert run(7, 100) == run(7, 100) != run(8, 100)


def run(seed: int, steps: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Run a program; return its steps and what it published."""
    with testing.record() as events:
        program = Program(seed, steps)
        program.run(events)
        return program.trace, program.world.published


@pytest.fixture
def hasty() -> Iterator[None]:
    """Let the interpreter change threads as often as it can, within calls too."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("hasty")
def test_threads_and_tasks_that_nothing_orders(events: Events) -> None:
    """Each reports on sessions of its own, nested, as fast as it can; all at once."""
    start = threading.Barrier(6)

    def in_thread(name: str) -> None:
        start.wait()
        for number in range(50):
            report(f"{name}-{number}")

    async def in_task(name: str) -> None:
        for number in range(20):
            with lai.session(session_id=f"{name}-{number}"):
                await asyncio.sleep(0)
                report(f"{name}-{number}-inner")
                await asyncio.to_thread(lai.update_session, task=f"{name}-{number}")
                await asyncio.gather(*[lai.aupdate_session(f"{name}-{number}") for _ in "ab"])

    async def main(name: str) -> None:
        await asyncio.gather(*[in_task(f"{name}{number}") for number in range(5)])

    def in_loop(name: str) -> None:
        start.wait()
        asyncio.run(main(name))

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(in_thread, f"thread{number}") for number in range(4)]
        futures += [pool.submit(in_loop, f"loop{number}") for number in range(2)]
        for future in futures:
            future.result()
    told = [event for event in events if "task" in event]
    assert len(told) == 4 * 50 * 3 + 2 * 5 * 20 * 6
    assert [event for event in told if event["task"] != event["session_id"]] == []
    assert sorted(event["sequence"] for event in events) == list(range(len(events)))


def report(session: str) -> None:
    """Report on a session and one within it; each text is the session it is about."""
    lai.init(session_id=session)
    lai.update_session(task=session)
    with lai.session(session_id=f"{session}-nested"):
        lai.update_session(task=f"{session}-nested")
    lai.update_session(task=session)
    lai.end_session()
