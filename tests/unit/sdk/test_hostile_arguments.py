"""Arguments that are no field's value, and settings: of the wrong type, or of none at all."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

import sessionfold as lai
from sessionfold import _process
from sessionfold.testing import Events
from tests.ids import shown
from tests.unit.sdk.hostile import OfNumpy, published_or_refused


@pytest.mark.parametrize("mask", [3, "upper", ["upper"], object()], ids=shown)
def test_what_is_no_masking_function_is_refused(mask: Any) -> None:  # noqa: ANN401
    """At once, and not by a placeholder in each of the session's texts."""
    with published_or_refused("masking_function") as published:
        lai.init(masking_function=mask)
    assert not published


@pytest.mark.parametrize(
    "value",
    [
        object(),
        7,
        "no",
        pytest.param(np.array([]), id="empty array"),
        pytest.param(OfNumpy(), id="no truth"),
    ],
)
def test_an_argument_that_is_ignored_may_be_anything(value: Any, events: Events) -> None:  # noqa: ANN401
    """Nobody looks at it."""
    lai.init(
        api_key=value, providers=value, production_monitoring=value, evaluators=value,
        capture_uncaught=value,
    )  # fmt: skip
    assert len(events) == 1


@pytest.mark.parametrize("value", [np.array([]), OfNumpy()], ids=["empty array", "no truth"])
@pytest.mark.parametrize("argument", ["auto_end", "wait_for_flush"])
def test_what_has_no_truth_is_refused_before_anything_is_published(
    argument: str,
    value: Any,  # noqa: ANN401
) -> None:
    """A call that fails has done nothing."""
    with published_or_refused(argument) as published:
        call: Any = lai.init if argument == "auto_end" else lai.end_session
        call(**{argument: value})
    assert not published


@pytest.mark.parametrize("call", [lai.flush, lai.shutdown])
@pytest.mark.parametrize(
    "value", ["2", object(), [2], math.nan], ids=["str", "object", "list", "nan"]
)
def test_what_is_no_time_is_refused(
    call: Callable[[Any], object],
    value: Any,  # noqa: ANN401
    events: Events,
) -> None:
    """Whether or not there is something to wait for."""
    lai.init()
    with pytest.raises(lai.InvalidFieldError) as caught:
        call(value)
    assert caught.value.field == "timeout_seconds"
    lai.update_session(task="goes on")
    assert len(events) == 2


@pytest.mark.parametrize("value", [-1, 0, 1e300, math.inf, 10**400, Decimal("0.1"), np.float32(1)])
def test_any_number_is_a_time(value: Any, events: Events) -> None:  # noqa: ANN401
    """Below zero is no time at all, and beyond what the clock can count is for ever."""
    lai.init()
    assert lai.flush(value)
    assert len(events) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"kafka": {1: "b"}},
        {"kafka": {"client.id": None}},
        {"bootstrap_servers": 5},
        {"topic": 5},
        {"topic": "\ud800"},
        {"colour": "red"},
        {"queue_events": 10**30},
        {"queue_events": "many"},
        {"exit_timeout_seconds": object()},
        {"linger_milliseconds": math.nan},
        pytest.param({"kafka": 5}),
        pytest.param({"kafka": "a=b"}),
        pytest.param({"kafka": ["a"]}),
        pytest.param({"kafka": {"client.id": "\ud800"}}),
        pytest.param({"kafka": {"client.id\0": "a"}}),
        pytest.param({"bootstrap_servers": "a\0b"}),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings: dict[str, Any]) -> None:
    """By the documented error, and a later call may do better."""
    with _process.replaced(None):
        try:
            with pytest.raises(lai.ConfigurationError, match=r"not usable|refuses"):
                lai.configure(**settings)
            lai.configure(topic="t")
        finally:
            lai.shutdown(0)


@pytest.mark.parametrize(
    "error",
    [lai.InvalidFieldError("task", "is of type int"), lai.ClosedError()],
    ids=["field", "closed"],
)
def test_errors_can_be_handed_to_another_process(error: lai.SessionfoldError) -> None:
    """One that cannot be unpickled breaks the whole pool of the worker."""
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))
