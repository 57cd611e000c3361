"""``masking_function``: applied to every free text of its session, and never in the way."""

from __future__ import annotations

import logging
from typing import Any

import pytest

import sessionfold as lai
from sessionfold import testing
from sessionfold.testing import Events

PLACEHOLDER = "[masking failed]"


def stars(text: str) -> str:
    """Mask."""
    return "*" * len(text)


def test_every_free_text_is_masked(events: Events) -> None:
    """By init, update and end; numbers and flags are not text."""
    lai.init(session_name="abc", task="ab", masking_function=stars)
    lai.update_session("a", 0.5, "abcd", True, "abc")
    lai.end_session(0.5, "ab", True, "abc")
    texts = [
        {name: value for name, value in event.items() if isinstance(value, str)} for event in events
    ]
    for text in texts:
        del text["session_id"], text["producer_id"]
    assert texts == [
        {"session_name": "***", "task": "**"},
        {"task": "*", "session_eval_reason": "****", "is_successful_reason": "***"},
        {"session_eval_reason": "**", "is_successful_reason": "***"},
    ]
    assert events[1]["session_eval"] == 0.5


def test_each_text_of_init_is_masked(events: Events) -> None:
    """IDs and each tag, too; a list stays one, and a mask that fails leaves no text of it."""
    lai.init(agent_id="abc", experiment_id="a", datasetitem_id="ab", tags=("abc", ""),
             masking_function=stars)  # fmt: skip
    lai.init(tags=["abc", "ab"], masking_function=broken)
    first, second = events
    names = ("agent_id", "experiment_id", "datasetitem_id", "tags")
    assert [first[name] for name in names] == ["***", "*", "**", ["***", ""]]
    assert second["tags"] == [PLACEHOLDER, PLACEHOLDER]


def test_a_mask_is_its_sessions_wherever_it_is_used(events: Events) -> None:
    """By explicit ID, bound, after its end; and no other session's."""
    masked = lai.init(masking_function=stars)
    lai.end_session()
    lai.init()
    lai.update_session(task="plain")
    lai.update_session(task="abc", session_id=masked)
    with lai.bind_session(masked):
        lai.update_session(task="abcd")
    assert [event["task"] for event in events[3:]] == ["plain", "***", "****"]


def test_a_session_that_is_resumed_keeps_its_mask(events: Events) -> None:
    """From the resuming call's own texts on, open or ended; until another one is given."""
    session = lai.init(masking_function=stars)
    lai.init(session_id=session, session_name="open", task="abc")
    lai.end_session()
    lai.init(session_id=session, task="abcd")
    lai.update_session(task="ab")
    lai.init(session_id=session, task="abc", masking_function=str.upper)
    lai.update_session(task="ab")
    texts = [event["task"] for event in events if "task" in event]
    assert texts == ["***", "****", "**", "ABC", "AB"]
    assert events[1]["session_name"] == "****"


def test_a_call_that_fails_changes_no_mask(events: Events) -> None:
    """What cannot begin changes nothing of the session that it names."""
    session = lai.init(masking_function=stars)
    with pytest.raises(lai.InvalidFieldError):
        lai.init(session_id=session, task=7, masking_function=str.upper)  # type: ignore[arg-type]
    lai.update_session(task="abc")
    assert events[-1]["task"] == "***"


def test_a_mask_outlives_its_session(events: Events) -> None:
    """A session that was open for long is not forgotten first when it ends."""
    masked = lai.init(masking_function=stars)
    for number in range(2_000):
        lai.update_session(task="t", session_id=f"s{number}")
    lai.end_session()
    lai.update_session(task="abc", session_id=masked)
    assert events[-1]["task"] == "***"


def test_the_reason_of_a_failed_block_is_masked(events: Events) -> None:
    """It is a free text as any other."""
    with pytest.raises(KeyError), lai.session(masking_function=stars):
        raise KeyError
    assert events[-1]["is_successful_reason"] == "********"


def test_the_mask_sees_the_whole_text() -> None:
    """It is cut after masking: half a card number would not be recognised."""
    seen: list[str] = []

    def note(text: str) -> str:
        seen.append(text)
        return "y" * 100

    with testing.record(text_limit_bytes=64) as events:
        lai.init(masking_function=note)
        lai.update_session(task="x" * 100)
        assert seen == ["x" * 100]
        assert events[1]["task"].startswith("yyy")
        assert len(events[1]["task"].encode()) <= 64
        assert lai.stats().texts_cut == 1


def broken(text: str) -> str:
    """Raise, with the text in the message."""
    raise ValueError(text)


def to_number(_: str) -> Any:  # noqa: ANN401 - what a mask must not return
    """Return no text."""
    return 7


@pytest.mark.parametrize(
    ("mask", "problem"), [(broken, "raised ValueError"), (to_number, "returned int, not a str")]
)
def test_a_broken_mask_publishes_a_placeholder_and_is_logged_once(
    mask: Any,  # noqa: ANN401
    problem: str,
    events: Events,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The text must not get out, in no way, and the worker must not be stopped."""
    caplog.set_level(logging.DEBUG, "sessionfold")
    lai.init(task="secret", masking_function=mask)
    lai.update_session(task="secret", session_eval=0.5)
    assert [event["task"] for event in events] == [PLACEHOLDER] * 2
    assert events[1]["session_eval"] == 0.5
    assert caplog.messages == [f"a masking function {problem}; a placeholder is published"]
    assert "secret" not in caplog.text


def test_what_is_no_text_is_refused_as_without_a_mask(events: Events) -> None:
    """The mask does not get to see it."""
    lai.init(masking_function=stars)
    with pytest.raises(lai.InvalidFieldError, match=r"^task is of type int"):
        lai.update_session(task=7)  # type: ignore[arg-type]
    assert len(events) == 1
