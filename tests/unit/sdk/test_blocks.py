"""``session`` and ``run_session``: begun on entry, ended on exit, with the right verdict."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import sessionfold as lai
from sessionfold.testing import Events


def verdict(events: Events) -> tuple[Any, Any, Any]:
    """Return what the last event says of the end."""
    end = events[-1]
    return end.get("is_finished"), end.get("is_successful"), end.get("is_successful_reason")


def fail_after(call: Callable[..., None], **arguments: Any) -> None:  # noqa: ANN401
    """Make a call, then raise."""
    call(**arguments)
    raise KeyError


def test_a_block_begins_and_ends_its_session(events: Events) -> None:
    """The arguments are init's; a good end has no opinion on success."""
    with lai.session(session_name="Block", task="t") as session:
        assert lai.get_session_id() == session
    assert lai.get_session_id() is None
    assert (events[0]["session_name"], events[0]["task"]) == ("Block", "t")
    assert verdict(events) == (True, None, None)
    assert len(events) == 2


def test_a_block_restores_what_was_current(events: Events) -> None:
    """Blocks nest, in whatever was current before."""
    outer = lai.init()
    with lai.session() as first:
        with lai.session() as second:
            assert lai.get_session_id() == second
        assert lai.get_session_id() == first
    assert lai.get_session_id() == outer
    assert len(events) == 5


@pytest.mark.parametrize("error", [ValueError("secret"), KeyboardInterrupt(), SystemExit(3)])
def test_an_exception_is_a_failure_of_its_type(error: BaseException, events: Events) -> None:
    """The type only: a message may hold what nobody meant to publish. The exception goes on."""
    with pytest.raises(type(error)) as caught, lai.session():
        raise error
    assert caught.value is error
    assert verdict(events) == (True, False, type(error).__name__)


def test_an_exit_that_reports_success_is_no_failure(events: Events) -> None:
    """``sys.exit()`` and ``sys.exit(0)`` end a program in good order."""
    for error in (SystemExit(), SystemExit(0)):
        with pytest.raises(SystemExit), lai.session():
            raise error
        assert verdict(events) == (True, None, None)


@pytest.mark.parametrize("success", [True, False])
def test_the_blocks_own_verdict_stands(success: bool, events: Events) -> None:
    """What the body said is not overruled by an exception after it."""
    with pytest.raises(KeyError), lai.session():
        fail_after(lai.update_session, is_successful=success)
    assert verdict(events) == (True, None, None)
    assert events[1]["is_successful"] is success


def test_a_verdict_that_was_not_published_does_not_count(events: Events) -> None:
    """The refused update said nothing, so the block fails by its exception."""
    with pytest.raises(lai.InvalidFieldError), lai.session():
        lai.update_session(is_successful=True, is_successful_reason=7)  # type: ignore[arg-type]
    assert verdict(events) == (True, False, "InvalidFieldError")


def test_a_resumed_session_has_no_verdict_yet(events: Events) -> None:
    """That of an earlier run says nothing of this one."""
    lai.init(session_id="again")
    lai.end_session(is_successful=True)
    with pytest.raises(KeyError), lai.session(session_id="again"):
        raise KeyError
    assert verdict(events) == (True, False, "KeyError")


def test_a_block_that_ended_its_session_does_not_end_it_again(events: Events) -> None:
    """Neither in good order nor after an exception."""
    with lai.session():
        lai.end_session(is_successful=True)
    with pytest.raises(KeyError), lai.session():
        fail_after(lai.end_session, is_successful=True)
    assert [event.get("is_finished") for event in events] == [False, True] * 2


def test_a_session_that_cannot_begin_leaves_all_as_it_was(events: Events) -> None:
    """The error is init's."""
    outer = lai.init()
    with pytest.raises(lai.InvalidFieldError), lai.session(task=7):
        pytest.fail("the block must not be entered")
    assert lai.get_session_id() == outer
    assert len(events) == 1


def test_an_async_block_ends_as_a_failure_when_it_is_cancelled(events: Events) -> None:
    """And the cancellation goes on."""

    async def work(begun: asyncio.Event) -> None:
        async with lai.session_async(session_name="Async"):
            begun.set()
            await asyncio.sleep(60)

    async def main() -> None:
        begun = asyncio.Event()
        task = asyncio.create_task(work(begun))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert verdict(events) == (True, False, "CancelledError")


def test_a_generator_that_is_closed_early_is_no_failure(events: Events) -> None:
    """Its caller has had enough."""

    def numbers() -> Any:  # noqa: ANN401 - a generator
        with lai.session():
            yield 1

    generator = numbers()
    next(generator)
    generator.close()
    assert verdict(events) == (True, None, None)


def test_run_session_gives_a_function_a_session(events: Events) -> None:
    """Begun with ``init_params``; the result is the function's, and its exception goes on."""

    def work(a: int, *, b: int) -> tuple[str | None, int]:
        return lai.get_session_id(), a + b

    session, total = lai.run_session(work, 1, init_params={"session_name": "Run"}, b=2)
    assert (session, total) == (events[0]["session_id"], 3)
    assert events[0]["session_name"] == "Run"
    with pytest.raises(ZeroDivisionError):
        lai.run_session(lambda: 1 // 0)
    assert verdict(events) == (True, False, "ZeroDivisionError")
