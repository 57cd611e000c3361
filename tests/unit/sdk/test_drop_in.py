"""Workers written against lucidicai 2.1.3 run after changing the import, and nothing else.

Each is a program as its author left it, with ``import lucidicai as lai``. Positional calls are in
that release's documented order. (Ours to write: no code of that package is here.)
"""

from __future__ import annotations

import textwrap
from typing import Any

import pytest

import sessionfold as lai
from sessionfold.testing import Events

SDKS_OWN = {"occurred_at", "producer_id", "sequence", "lost_before", "started_at", "ended_at"}

SUPPORT = """
    import lucidicai as lai

    lai.init("Customer Support", None, "key", "agent", "Handle customer inquiry", ["openai"])
    lai.update_session("Resolve billing dispute")
    lai.update_session("Issue refund", None, None, True, "refunded $49.99")
    lai.end_session()
"""

TRAINING = """
    import lucidicai as lai
    import numpy as np

    lai.init(session_name="Training", providers=[], production_monitoring=True, tags=["nightly"])
    for phase, score in (("warm up", 0.3), ("train", 0.6)):
        lai.update_session(task=phase, session_eval=score, session_eval_reason=f"after {phase}")
    scores = np.array([0.8, 0.9, 1.0], dtype=np.float32)
    lai.update_session("evaluate", np.mean(scores), "mean of 3", np.min(scores) > 0.75)
    lai.end_session(is_successful=scores.max() > 0.95)
"""

PIPELINE = """
    import lucidicai as lai

    def stage(name):
        if name == "transform":
            raise ValueError("bad row")

    lai.init("Pipeline", auto_end=False, capture_uncaught=False)
    for progress, name in ((0.25, "extract"), (0.5, "transform"), (0.75, "load"), (1.0, "report")):
        try:
            lai.update_session(name, progress)
            stage(name)
        except Exception as error:
            lai.update_session(
                session_eval=progress - 0.1,
                is_successful=False,
                is_successful_reason=f"{name}: {error}",
            )
            break
    lai.end_session()
"""

LONG_JOB = """
    import lucidicai as lai

    session_id = lai.init(session_name="Reindex", task="Start", masking_function=str.strip)
    for batch in range(1, 11):
        lai.update_session(
            task=f"  batch {batch} of 10  ",
            session_eval=batch / 10,
            session_eval_reason=f"ETA {10 - batch} min",
            session_id=session_id,
        )
    lai.end_session(1.0, "all batches", True, "done", True, session_id)
"""

QA = """
    import lucidicai as lai

    results = {"tone": True, "facts": False, "length": True}
    lai.init("QA", task="Check the answer")
    passed = [name for name, ok in results.items() if ok]
    lai.end_session(
        session_eval=len(passed) / len(results),
        session_eval_reason=f"{len(passed)} of {len(results)} criteria",
        is_successful=all(results.values()),
        is_successful_reason="failed: " + ", ".join(sorted(results.keys() - set(passed))),
        wait_for_flush=False,
    )
"""


def run(program: str) -> dict[str, Any]:
    """Run a worker with its import changed; return what it defined."""
    source = textwrap.dedent(program).replace("lucidicai", "sessionfold")
    defined: dict[str, Any] = {}
    exec(compile(source, "<worker>", "exec"), defined)  # noqa: S102 - written above
    return defined


def told(events: Events) -> list[dict[str, Any]]:
    """Return what was said of the one session, event by event."""
    assert len({event["session_id"] for event in events}) == 1
    return [
        {name: value for name, value in event.items() if name not in SDKS_OWN | {"session_id"}}
        for event in events
    ]


class TestFiveWorkers:
    """The shapes that the guide names."""

    def test_support(self, events: Events) -> None:
        """All by position."""
        run(SUPPORT)
        assert told(events) == [
            {
                "session_name": "Customer Support",
                "task": "Handle customer inquiry",
                "is_finished": False,
                "agent_id": "agent",
            },
            {"task": "Resolve billing dispute"},
            {
                "task": "Issue refund",
                "is_successful": True,
                "is_successful_reason": "refunded $49.99",
            },
            {"is_finished": True},
        ]

    def test_training(self, events: Events) -> None:
        """Scores and comparisons as numpy gives them."""
        run(TRAINING)
        first, *_, last, end = told(events)
        assert first == {"session_name": "Training", "is_finished": False, "tags": ["nightly"]}
        assert last == {
            "task": "evaluate",
            "session_eval": pytest.approx(0.9),
            "session_eval_reason": "mean of 3",
            "is_successful": True,
        }
        assert end == {"is_successful": True, "is_finished": True}

    def test_pipeline(self, events: Events) -> None:
        """The stage that raises is the last, and says why."""
        run(PIPELINE)
        assert told(events)[1:] == [
            {"task": "extract", "session_eval": 0.25},
            {"task": "transform", "session_eval": 0.5},
            {
                "session_eval": 0.4,
                "is_successful": False,
                "is_successful_reason": "transform: bad row",
            },
            {"is_finished": True},
        ]

    def test_long_job(self, events: Events) -> None:
        """By explicit ID, masked, and with an end that waits."""
        run(LONG_JOB)
        updates = told(events)[1:11]
        assert [update["task"] for update in updates] == [f"batch {n} of 10" for n in range(1, 11)]
        assert [update["session_eval"] for update in updates] == [n / 10 for n in range(1, 11)]
        assert told(events)[11] == {
            "session_eval": 1.0,
            "session_eval_reason": "all batches",
            "is_successful": True,
            "is_successful_reason": "done",
            "is_finished": True,
        }

    def test_qa(self, events: Events) -> None:
        """Everything is said at the end."""
        run(QA)
        assert told(events)[1] == {
            "session_eval": 2 / 3,
            "session_eval_reason": "2 of 3 criteria",
            "is_successful": False,
            "is_successful_reason": "failed: facts",
            "is_finished": True,
        }


def test_a_caller_without_init_says_that_there_is_no_session(
    events: Events, capsys: pytest.CaptureFixture[str]
) -> None:
    """And lives on, as its ``except`` clause means it to."""
    run("""
        import lucidicai as lai
        try:
            lai.update_session(task="work")
        except Exception as error:
            print(f"could not update: {error}")
        """)
    assert capsys.readouterr().out == (
        "could not update: no session is active: call init() first\n"
    )
    assert len(events) == 0


def test_errors_are_caught_by_their_names(events: Events) -> None:
    """At top level and from the errors module, the base class too."""
    caught = run("""
        import lucidicai as lai
        from lucidicai.errors import (
            APIKeyVerificationError,
            InvalidOperationError,
            LucidicError,
            LucidicNotInitializedError,
        )

        caught = []
        try:
            lai.update_session(task="t")
        except (APIKeyVerificationError, InvalidOperationError):
            raise
        except LucidicNotInitializedError as error:
            caught.append(error)
        try:
            lai.end_session()
        except lai.LucidicError as error:
            caught.append(error)
        try:
            lai.init(session_name=7)
        except lai.InvalidOperationError as error:
            caught.append(error)
        """)["caught"]
    kinds = [lai.NoActiveSessionError, lai.NoActiveSessionError, lai.InvalidFieldError]
    assert [type(error) for error in caught] == kinds
    assert len(events) == 0


def test_blocks(events: Events) -> None:
    """A block for a whole session, one for a session of elsewhere, and an exception in one."""
    run("""
        import lucidicai as lai

        with lai.session(session_name="Block", task="a", auto_end=True):
            assert lai.get_session() == lai.get_session_id() == lai.current_session_id.get()
            lai.update_session(task="b")
            with lai.bind_session("elsewhere"):
                lai.update_session("c")
            lai.end_session(is_successful=True)
        try:
            with lai.session(session_id="second"):
                raise KeyError("row")
        except KeyError:
            pass
        assert lai.get_session_id() is None
        """)
    assert [(event.get("task"), event["session_id"] == "elsewhere") for event in events[:3]] == [
        ("a", False), ("b", False), ("c", True),
    ]  # fmt: skip
    last = events[-1]
    assert (last["is_successful"], last["is_successful_reason"]) == (False, "KeyError")
    assert [event["session_id"] for event in events if event.get("is_finished")][1:] == ["second"]


def test_async_blocks(events: Events) -> None:
    """Of tasks that run in turns; each reports on its own session."""
    run("""
        import asyncio
        import lucidicai as lai

        async def answer(number):
            async with lai.session_async(session_name=f"request {number}"):
                await asyncio.sleep(0)
                lai.update_session(task=f"answer {number}")
                async with lai.bind_session_async("audit"):
                    await asyncio.sleep(0)
                    lai.update_session(task=f"audit {number}")
                lai.update_session(is_successful=True)

        async def main():
            await asyncio.gather(*[answer(number) for number in range(5)])

        asyncio.run(main())
        """)
    names = {event["session_id"]: event.get("session_name") for event in events[:5]}
    answers = [event for event in events if "answer" in event.get("task", "")]
    assert sorted(names[event["session_id"]] or "" for event in answers) == [
        f"request {number}" for number in range(5)
    ]
    assert [event["task"][-1] for event in answers] == [
        (names[event["session_id"]] or "")[-1] for event in answers
    ]
    audits = [event["session_id"] for event in events if "audit" in event.get("task", "")]
    assert audits == ["audit"] * 5


def test_functions_and_threads(events: Events) -> None:
    """A function in a session, in one of elsewhere, and on a pool's threads."""
    run("""
        from concurrent.futures import ThreadPoolExecutor
        import lucidicai as lai

        def work(x, *, factor=1):
            lai.update_session(task=f"work {x * factor}")
            return x * factor

        assert lai.run_session(work, 2, init_params={"session_name": "run"}, factor=3) == 6
        assert lai.run_in_session("a", work, 4, factor=2) == 8
        with ThreadPoolExecutor(2) as pool:
            futures = [pool.submit(lai.run_in_session, name, work, 1) for name in ("b", "c")]
            assert [future.result() for future in futures] == [1, 1]
        """)
    of_task = {"work 8": ["a"], "work 1": ["b", "c"]}
    for task, sessions in of_task.items():
        found = [event["session_id"] for event in events if event.get("task") == task]
        assert sorted(found) == sessions
    assert events[0]["session_name"] == "run"
    assert events[1]["session_id"] == events[0]["session_id"] == events[2]["session_id"]


def test_the_current_session_is_set_cleared_and_carried_by_hand(events: Events) -> None:
    """By the calls, and through the context variable as frameworks do."""
    run("""
        import contextvars
        import lucidicai as lai

        lai.set_active_session("a")
        lai.update_session(task="1")
        lai.set_active_session(None)
        assert lai.get_session_id() is None
        lai.set_active_session("b")
        lai.clear_active_session()
        assert lai.current_session_id.get() is None
        assert isinstance(lai.current_session_id, contextvars.ContextVar)
        token = lai.current_session_id.set("c")
        try:
            lai.update_session(task="2")
        finally:
            lai.current_session_id.reset(token)
        assert lai.get_session_id() is None
        """)
    assert [(event["session_id"], event["task"]) for event in events] == [("a", "1"), ("c", "2")]


def test_a_session_is_resumed_by_its_id(events: Events) -> None:
    """The second argument, by position too."""
    session_id = run("""
        import lucidicai as lai
        session_id = lai.init("First")
        lai.end_session()
        assert lai.init(None, session_id) == session_id
        assert lai.flush() is True and lai.flush(5.0) is True
        lai.end_session()
        """)["session_id"]
    assert {event["session_id"] for event in events} == {session_id}
    assert [event.get("session_name") for event in events] == ["First", None, None, None]


def test_a_worker_that_clears_the_state_starts_again(events: Events) -> None:
    """As its tests do between two cases."""
    run("""
        import lucidicai as lai
        lai.init("First")
        lai.clear_state()
        assert lai.get_session_id() is None
        """)
    assert told(events)[-1] == {"is_finished": True}


NAMES = """
    init get_session_id clear_state update_session end_session get_session flush set_active_session
    clear_active_session bind_session bind_session_async session session_async run_session
    run_in_session current_session_id LucidicError LucidicNotInitializedError
    APIKeyVerificationError InvalidOperationError
"""


@pytest.mark.parametrize("name", NAMES.split())
def test_every_name_of_the_session_calls_is_there(name: str) -> None:
    """What a worker may import from the package by name."""
    run(f"from lucidicai import {name}")
    assert name in lai.__all__
