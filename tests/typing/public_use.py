"""The public calls as workers write them: checked by mypy, never run.

What is not allowed is marked: mypy's strict mode fails on an ignore that is not needed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from contextvars import ContextVar
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np

import sessionfold as lai
import sessionfold.errors
from sessionfold import testing


def use(*_: object) -> None:
    """Stand for what a worker does with a value."""


def a_worker() -> None:
    """The whole surface, with the types that workers have at hand."""
    lai.configure(bootstrap_servers="localhost:9092", kafka={"security.protocol": "SSL"})
    session_id: str = lai.init(
        session_name="Support",
        task="Handle inquiry",
        providers=["openai"],
        tags=["a"],
        masking_function=str.upper,
    )
    lai.update_session(task="t", session_eval=0.5, session_eval_reason="r")
    lai.update_session(session_eval=9, is_successful=True, is_successful_reason="r")
    lai.update_session(session_eval="4.5", session_id=session_id)
    lai.end_session(session_eval=1.0, is_successful=False, wait_for_flush=True)
    delivered: bool = lai.flush(timeout_seconds=2.0)
    lai.shutdown(timeout_seconds=1)
    use(delivered, lai.stats().dropped + lai.stats().in_flight)


def by_position() -> None:
    """In the documented order."""
    lai.init(
        "name", "id", "key", "agent", "task", ["openai"], True, "experiment", [], ["tag"], "item",
        str.strip, False, False,
    )  # fmt: skip
    lai.create_session("name", "id", None, None, "task")
    lai.update_session("task", 0.5, "why", True, "why", "id")
    lai.end_session(0.5, "why", True, "why", True, "id")
    lai.end_session(None, None, None, None, None, None)
    lai.flush(2)
    lai.shutdown(2.5)
    lai.set_active_session(None)


def lists() -> None:
    """Whatever gives texts in an order of its own."""
    lai.init(tags=[], agent_id="agent", experiment_id="experiment", datasetitem_id="item")
    lai.init(tags=("a", "b"))
    lai.init(tags=(tag for tag in ["a"]))
    lai.init(tags=[1])  # type: ignore[list-item]
    lai.init(tags=1)  # type: ignore[arg-type]
    lai.init(agent_id=1)  # type: ignore[arg-type]


def numbers() -> None:
    """Whatever knows how to be a float."""
    for value in (1, 0.5, "4.5", Decimal("0.5"), Fraction(1, 2), np.float32(1)):
        lai.update_session(session_eval=value)


def values_of_numpy() -> None:
    """Scores and comparisons are accepted as numpy gives them."""
    scores = np.array([0.25, 0.5])
    lai.update_session(session_eval=scores.mean(), is_successful=scores.mean() > 0.3)
    lai.update_session(session_eval=np.float32(0.5), is_successful=np.bool_(True))
    lai.update_session(session_eval=np.int64(1))


def what_is_refused() -> None:
    """A wrong type shows in the editor, not only at the call."""
    lai.update_session(task=7)  # type: ignore[arg-type]
    lai.update_session(session_eval=[0.5])  # type: ignore[arg-type]
    lai.update_session(is_successful="yes")  # type: ignore[arg-type]
    lai.update_session(colour="red")  # type: ignore[call-arg]
    lai.init(masking_function=len)  # type: ignore[arg-type]
    lai.run_in_session("id", len, 7)  # type: ignore[arg-type]
    lai.update_session(session_id=b"id")  # type: ignore[arg-type]
    lai.update_session(session_eval=b"4.5")  # type: ignore[arg-type]
    lai.update_session(is_successful=1)  # type: ignore[arg-type]
    lai.update_session(is_finished=True)  # type: ignore[call-arg]
    lai.update_session("t", 1, "r", True, "r", "id", True)  # type: ignore[call-arg]
    lai.end_session(task="t")  # type: ignore[call-arg]
    lai.end_session(wait_for_flush="yes")  # type: ignore[arg-type]
    lai.set_active_session(7)  # type: ignore[arg-type]
    lai.flush("2")  # type: ignore[arg-type]
    lai.configure("localhost:9092")  # type: ignore[call-arg]
    lai.Configuration(topic=7)  # type: ignore[arg-type]
    lai.stats().dropped = 0  # type: ignore[misc]


def blocks_and_functions() -> None:
    """Blocks yield the ID; functions keep their types."""
    with lai.session(session_name="Block") as session_id:
        name: str = session_id
    with lai.bind_session(name):
        current: str | None = lai.get_session_id()
    length: int = lai.run_session(len, "abc", init_params={"task": "t"})
    largest: float = lai.run_in_session("id", max, 0.1, 0.2)
    lai.set_active_session(current)
    lai.clear_active_session()
    lai.clear_state()
    use(length, largest, lai.get_session(), lai.create_session(), lai.current_session_id.get())


def types_of_blocks() -> None:
    """They can be handed on."""
    block: AbstractContextManager[str] = lai.session(task="t")
    bound: AbstractContextManager[str] = lai.bind_session("id")
    awaited: AbstractAsyncContextManager[str] = lai.session_async(task="t")
    awaited_bound: AbstractAsyncContextManager[str] = lai.bind_session_async("id")
    variable: ContextVar[str | None] = lai.current_session_id
    use(block, bound, awaited, awaited_bound, variable)


@lai.session(session_name="Decorated")
def decorated(number: int) -> int:
    """Run in a session of its own at each call; the signature stays."""
    return number


def generators() -> Iterator[float]:
    """A block may hold a yield."""
    with lai.session(task="t"):
        yield decorated(7) / 2


async def async_generators() -> AsyncIterator[float]:
    """Also one of async."""
    async with lai.session_async(task="t"):
        yield 0.5


async def in_asyncio() -> None:
    """The same, to be awaited."""
    async with lai.session_async(session_name="Async") as session_id:
        await lai.aupdate_session(task="t", session_eval=1, session_id=session_id)
        later: Awaitable[None] = lai.aupdate_session("t", 1, "r", True, "r", session_id)
        await later
        await lai.aend_session(is_successful=True)
        await lai.aend_session(1, "r", True, "r", True, session_id)
    async with lai.bind_session_async(session_id) as bound:
        use(bound)


def errors() -> None:
    """Errors carry data."""
    try:
        lai.update_session(task="t")
    except lai.InvalidFieldError as error:
        field: str = error.field
        use(field)
    except (lai.NoActiveSessionError, lai.NotInitializedError, lai.ClosedError) as error:
        use(error)
    except (lai.ConfigurationError, lai.SessionfoldError) as error:
        use(error)


def errors_by_their_old_names() -> None:
    """The same classes, for ``except`` clauses that are there already."""
    try:
        lai.end_session()
    except (lai.LucidicNotInitializedError, lai.InvalidOperationError) as error:
        use(error)
    except (lai.APIKeyVerificationError, lai.LucidicError) as error:
        use(error)


def errors_by_module() -> None:
    """They are the same classes there."""
    try:
        lai.init()
    except sessionfold.errors.NoActiveSessionError as error:
        narrower: lai.NotInitializedError = error
        use(narrower)
    except sessionfold.errors.InvalidFieldError as error:
        value_error: ValueError = error
        use(value_error)
    except sessionfold.errors.LucidicError as error:
        wide: lai.SessionfoldError = error
        use(wide)


def the_testing_aid() -> None:
    """Events are dictionaries."""
    with testing.record(text_limit_bytes=100) as events:
        a_worker()
    reason: str = events[-1]["is_successful_reason"]
    use(reason, len(events), [event["sequence"] for event in events[1:]])


def on_failure(failure: lai.Failure) -> None:
    """Take what the worker does not see."""
    reason: str = failure.reason
    dropped: int = failure.dropped
    use(reason, dropped)


def settings_of_delivery() -> None:
    """What becomes of events that cannot be sent."""
    lai.configure(on_full="block", block_seconds=0.5, on_failure=on_failure)
    lai.Configuration(on_full="spool", spool_directory=Path("/spool"), spool_megabytes=8)
    lai.Configuration(flush_on_sigterm=True, disabled=True, on_failure=on_failure)
    lai.Configuration(on_full="wait")  # type: ignore[arg-type]
    lai.Configuration(on_failure=len)  # type: ignore[arg-type]


def settings() -> lai.Configuration:
    """A value to look at and to build on."""
    configuration = lai.Configuration(topic="t")
    return configuration.model_copy(update={"end_waits": True})


def accounts() -> lai.Stats:
    """What became of the events."""
    stats = lai.stats()
    balance: int = stats.delivered + stats.spooled + stats.dropped + stats.in_flight
    adopted: int = stats.adopted_waiting + stats.adopted_delivered
    use(balance == stats.accepted, stats.texts_cut + stats.texts_repaired, stats.coalesced)
    use(adopted)
    return stats
