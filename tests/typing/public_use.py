"""The public calls as workers write them: checked by mypy, never run.

What is not allowed is marked: mypy's strict mode fails on an ignore that is not needed.
"""

from __future__ import annotations

import numpy as np

import sessionfold as lai
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


async def in_asyncio() -> None:
    """The same, to be awaited."""
    async with lai.session_async(session_name="Async") as session_id:
        await lai.aupdate_session(task="t", session_eval=1, session_id=session_id)
        await lai.aend_session(is_successful=True)
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


def the_testing_aid() -> None:
    """Events are dictionaries."""
    with testing.record(text_limit_bytes=100) as events:
        a_worker()
    reason: str = events[-1]["is_successful_reason"]
    use(reason, len(events), [event["sequence"] for event in events[1:]])


def settings() -> lai.Configuration:
    """A value to look at and to build on."""
    configuration = lai.Configuration(topic="t")
    return configuration.model_copy(update={"end_waits": True})


def accounts() -> lai.Stats:
    """What became of the events."""
    return lai.stats()
