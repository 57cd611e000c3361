"""Whatever is given for an argument: published as documented, or refused with nothing published."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given

import sessionfold as lai
from sessionfold import testing
from sessionfold.testing import Events
from tests.ids import shown
from tests.unit.sdk.hostile import (
    Hostile,
    LyingText,
    OfNumpy,
    Proxy,
    hostile,
    published_or_refused,
)

Call = Callable[[Any], object]


TEXTS: dict[str, Call] = {
    "task of update": lambda value: lai.update_session(task=value),
    "session_eval_reason of update": lambda value: lai.update_session(session_eval_reason=value),
    "is_successful_reason of update": lambda value: lai.update_session(is_successful_reason=value),
    "session_eval_reason of end": lambda value: lai.end_session(session_eval_reason=value),
    "is_successful_reason of end": lambda value: lai.end_session(is_successful_reason=value),
    "session_name of init": lambda value: lai.init(session_name=value),
    "task of init": lambda value: lai.init(task=value),
    "agent_id of init": lambda value: lai.init(agent_id=value),
    "experiment_id of init": lambda value: lai.init(experiment_id=value),
    "datasetitem_id of init": lambda value: lai.init(datasetitem_id=value),
}

NUMBERS: dict[str, Call] = {
    "session_eval of update": lambda value: lai.update_session(session_eval=value),
    "session_eval of end": lambda value: lai.end_session(session_eval=value),
}

FLAGS: dict[str, Call] = {
    "is_successful of update": lambda value: lai.update_session(is_successful=value),
    "is_successful of end": lambda value: lai.end_session(is_successful=value),
}


def _by_context_variable(value: Any) -> None:  # noqa: ANN401
    lai.current_session_id.set(value)
    lai.update_session(task="t")


def _set_active(value: Any) -> None:  # noqa: ANN401
    lai.set_active_session(value)
    lai.update_session(task="t")


IDENTIFIERS: dict[str, Call] = {
    "session_id of init": lambda value: lai.init(session_id=value),
    "session_id of update": lambda value: lai.update_session(task="t", session_id=value),
    "session_id of end": lambda value: lai.end_session(session_id=value),
    "session_id of bind_session": lambda value: lai.run_in_session(value, lai.update_session, "t"),
    "session_id of set_active_session": _set_active,
    "session_id of current_session_id": _by_context_variable,
}


@pytest.mark.parametrize("argument", TEXTS)
@given(hostile())
@example(Hostile(base=str, arguments=("a\0",), raising=("__eq__",)))
def test_any_object_for_a_text(argument: str, kind: Hostile) -> None:
    """What is a str is published as its characters, whatever its methods say."""
    with published_or_refused(argument) as published:
        TEXTS[argument](kind.make())
    assert bool(published) == (kind.base is str)
    if published:
        assert published[0][argument.split(maxsplit=1)[0]] == repaired(kind.arguments[0])


@pytest.mark.parametrize("argument", NUMBERS)
@given(hostile())
@example(Hostile(base=object, raising=("__getattr__",)))
def test_any_object_for_a_number(argument: str, kind: Hostile) -> None:
    """What is published is the number that the value stands for; a broken one may be refused."""
    with published_or_refused(argument) as published:
        NUMBERS[argument](kind.make())
    if published:
        assert kind.base in {str, int, float, Decimal, Fraction}
        assert published[0]["session_eval"] == float(kind.arguments[0])
        assert math.isfinite(published[0]["session_eval"])


@pytest.mark.parametrize("argument", FLAGS)
@given(hostile())
def test_any_object_for_a_flag(argument: str, kind: Hostile) -> None:
    """Only a bool is one."""
    with published_or_refused(argument) as published:
        FLAGS[argument](kind.make())
    assert not published


@pytest.mark.parametrize("argument", IDENTIFIERS)
@given(hostile())
@example(Hostile(base=str, arguments=("id",), raising=("encode",)))
@example(Hostile(base=object, raising=("__class__",)))
def test_any_object_for_a_session_id(argument: str, kind: Hostile) -> None:
    """What is a str names the session of its characters, when there can be one."""
    with published_or_refused(argument) as published:
        IDENTIFIERS[argument](kind.make())
    if published:
        assert kind.base is str
        assert published[0]["session_id"] == kind.arguments[0]


@pytest.mark.parametrize("argument", [*TEXTS, *IDENTIFIERS])
def test_what_says_that_it_is_a_str_is_refused(argument: str) -> None:
    """It cannot do what one would do."""
    with published_or_refused(argument) as published:
        (TEXTS | IDENTIFIERS)[argument](Proxy())
    assert not published


@pytest.mark.parametrize("argument", FLAGS)
def test_what_says_that_it_is_of_numpy_is_refused(argument: str) -> None:
    """A name is no proof."""
    with published_or_refused(argument) as published:
        FLAGS[argument](OfNumpy())
    assert not published


@pytest.mark.parametrize("argument", TEXTS)
@pytest.mark.parametrize("text", ["plain", "nul \0 in it", "half \ud83d a pair", "漢字" * 40_000])
def test_a_text_that_lies_is_published_as_its_characters(argument: str, text: str) -> None:
    """Checked and published is the same."""
    with published_or_refused(argument) as published:
        TEXTS[argument](LyingText(text))
    with testing.record() as events:
        lai.init(task=text)
        assert published[0][argument.split(maxsplit=1)[0]] == events[0]["task"]


@pytest.mark.parametrize("argument", IDENTIFIERS)
@pytest.mark.parametrize(
    "text",
    [
        "fine",
        "bell \a",
        pytest.param(""),
        pytest.param("\ud800", id="surrogate"),
        pytest.param("x" * 513, id="long"),
    ],
)
def test_an_identifier_that_lies_is_its_characters(argument: str, text: str) -> None:
    """Else what no reader takes would get onto the topic."""
    with published_or_refused(argument) as published:
        IDENTIFIERS[argument](LyingText(text))
    assert [event["session_id"] for event in published] == ([text] if text == "fine" else [])


@pytest.mark.parametrize("argument", IDENTIFIERS)
@pytest.mark.parametrize(
    "value",
    [
        "", "x" * 513, "é" * 257, "\ud800", "a\udfffb", "\0", "a\nb", "a\rb", "\x1b[2J", "\x7f",
        "\x85", "\x9b", 7, 0, b"id", 0.5, True, ("id",), ["id"], object(), np.int64(7),
    ],
    ids=shown,
)  # fmt: skip
def test_what_is_no_session_id_is_refused(argument: str, value: Any) -> None:  # noqa: ANN401
    """Wherever one can be given, also by hand."""
    with published_or_refused(argument) as published:
        IDENTIFIERS[argument](value)
    assert not published


@pytest.mark.parametrize("argument", IDENTIFIERS)
@pytest.mark.parametrize(
    "value", [" ", "x" * 512, "é" * 256, "🙂", "e\u0301", "'; DROP TABLE", "../x", "%s", "None"]
)
def test_an_odd_session_id_is_one(argument: str, value: str) -> None:
    """As its characters are, and never normalised."""
    with published_or_refused(argument) as published:
        IDENTIFIERS[argument](value)
    assert published[0]["session_id"] == value


@pytest.mark.parametrize("argument", TEXTS)
def test_ten_megabytes_of_text_are_cut(argument: str) -> None:
    """The call is not refused, the event stays small, and the cut is counted."""
    with published_or_refused(argument) as published:
        TEXTS[argument]("🙂" * 2_621_440)
        assert lai.stats().texts_cut == 1
    text = published[0][argument.split(maxsplit=1)[0]]
    assert text.startswith("🙂" * 16_000)
    assert len(text.encode()) <= 65_536


@pytest.mark.parametrize(
    "value",
    [
        np.array(1 + 0j),
        pytest.param(np.ma.masked, id="masked"),
        pytest.param(np.complex128(1), id="complex"),
    ],
)
def test_a_value_of_numpy_that_is_no_number_gives_no_warning(value: Any) -> None:  # noqa: ANN401
    """It is refused, and a worker's stderr stays clean."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with published_or_refused("session_eval") as published:
            lai.update_session(session_eval=value)
    assert (published, caught) == ([], [])


def test_ctrl_c_while_a_value_is_converted_goes_on(events: Events) -> None:
    """A tensor may take its time to become a float."""

    class Slow:
        def __float__(self) -> float:
            raise KeyboardInterrupt

    lai.init()
    with pytest.raises(KeyboardInterrupt):
        lai.update_session(session_eval=Slow())
    assert len(events) == 1
    lai.update_session(task="goes on")


def repaired(text: str) -> str:
    """Write a text as the SDK publishes it."""
    return "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)
