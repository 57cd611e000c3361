"""What ``init``, ``update_session`` and ``end_session`` publish."""

from __future__ import annotations

import logging
import time
import uuid
from typing import Any

import pytest

import sessionfold as lai
from sessionfold.testing import Events

SDKS_OWN = {"occurred_at", "producer_id", "sequence", "lost_before", "session_id"}


def given(event: dict[str, Any]) -> dict[str, Any]:
    """Return the state fields of an event."""
    return {name: value for name, value in event.items() if name not in SDKS_OWN}


def test_init_starts_a_session_and_says_so(events: Events) -> None:
    """A new UUID, current here; name, task, and that it is open and since when."""
    before = time.time_ns() // 1000
    session_id = lai.init(session_name="Support", task="Handle inquiry")
    after = time.time_ns() // 1000
    assert str(uuid.UUID(session_id)) == session_id == lai.get_session_id() == lai.get_session()
    (event,) = events
    assert before <= event["started_at"] <= event["occurred_at"] <= after
    assert event["session_id"] == session_id
    assert given(event) == {
        "session_name": "Support",
        "task": "Handle inquiry",
        "is_finished": False,
        "started_at": event["started_at"],
    }


def test_every_init_starts_another_session(events: Events) -> None:
    """IDs do not repeat."""
    assert len({lai.init() for _ in range(10)}) == 10 == len(events)


def test_init_resumes_the_session_it_is_given(events: Events) -> None:
    """It is open again; a name is published only when given, so the old one stays."""
    assert lai.init(session_id="order-7") == "order-7"
    (event,) = events
    assert set(given(event)) == {"is_finished", "started_at"}
    assert event["is_finished"] is False


def test_a_resumed_session_is_open_again(events: Events) -> None:
    """After its end, too: update and end without an ID reach it."""
    lai.init(session_id="order-7")
    lai.end_session()
    lai.init(session_id="order-7")
    lai.update_session(task="again")
    lai.end_session()
    assert [event.get("is_finished") for event in events] == [False, True, False, None, True]


def test_update_publishes_just_what_was_given(events: Events) -> None:
    """A partial event: every other field is not given, which leaves its last value."""
    lai.init()
    lai.update_session(session_eval=0.4)
    lai.update_session("Resolve", None, "a reason", False, "another")
    assert given(events[1]) == {"session_eval": 0.4}
    assert given(events[2]) == {
        "task": "Resolve",
        "session_eval_reason": "a reason",
        "is_successful": False,
        "is_successful_reason": "another",
    }


def test_empty_text_false_and_zero_are_values(events: Events) -> None:
    """Only None means not given."""
    lai.init()
    lai.update_session(task="", session_eval=0, is_successful=False)
    assert given(events[1]) == {"task": "", "session_eval": 0.0, "is_successful": False}


def test_an_update_of_nothing_publishes_nothing(events: Events) -> None:
    """With a session; without one it is an error all the same."""
    with pytest.raises(lai.NoActiveSessionError):
        lai.update_session()
    lai.init()
    lai.update_session()
    lai.update_session(task=None, session_eval=None)
    assert len(events) == 1


def test_end_publishes_the_final_values_and_the_end_in_one_event(events: Events) -> None:
    """So no reader sees the one without the other."""
    lai.init()
    lai.end_session(0.9, "all done", True, "refunded")
    assert len(events) == 2
    event = given(events[1])
    assert event.pop("ended_at") <= events[1]["occurred_at"]
    assert event == {
        "session_eval": 0.9,
        "session_eval_reason": "all done",
        "is_successful": True,
        "is_successful_reason": "refunded",
        "is_finished": True,
    }


def test_after_the_end_there_is_no_session(events: Events) -> None:
    """A second end, and an update, raise and publish nothing."""
    lai.init()
    lai.end_session()
    for call in (lai.end_session, lai.update_session):
        with pytest.raises(lai.NoActiveSessionError, match=r"call init\(\) or bind_session\(\)"):
            call()
    assert lai.get_session_id() is None
    assert len(events) == 2


def test_without_init_there_is_no_session(events: Events) -> None:
    """The error says what to call, and is caught as what callers know it by."""
    for call in (lai.end_session, lai.update_session):
        with pytest.raises(lai.LucidicNotInitializedError, match=r"call init\(\) first"):
            call()
    assert len(events) == 0


def test_an_explicit_session_id_does_what_is_asked(events: Events) -> None:
    """Also for a session that ended, or that this process never began; the current one stays."""
    ended = lai.init()
    lai.end_session()
    current = lai.init()
    lai.update_session(task="late", session_id=ended)
    lai.update_session(task="elsewhere", session_id="begun elsewhere")
    lai.end_session(session_id="begun elsewhere")
    assert [event["session_id"] for event in events[3:]] == [ended, *["begun elsewhere"] * 2]
    assert lai.get_session_id() == current


def test_events_are_numbered_over_all_sessions(events: Events) -> None:
    """0, 1, 2 ... by one producer: an audit sees gaps and repeats."""
    lai.init(session_id="a")
    lai.init(session_id="b")
    lai.update_session(task="x", session_id="a")
    lai.end_session()
    assert [event["sequence"] for event in events] == [0, 1, 2, 3]
    assert len({event["producer_id"] for event in events}) == 1
    assert {event["lost_before"] for event in events} == {0}


@pytest.mark.parametrize("session_id", ["", "x" * 513, "a\nb", "\ud800", "a\x9b", 7, b"a", True])
def test_what_cannot_be_a_session_id_is_refused(session_id: Any, events: Events) -> None:  # noqa: ANN401
    """By every call that takes one; nothing is published and nothing becomes current."""
    calls = (
        lai.init, lai.update_session, lai.end_session, lai.set_active_session,
        lambda session_id: lai.bind_session(session_id).__enter__(),
        lambda session_id: lai.run_in_session(session_id, str),
    )  # fmt: skip
    for call in calls:
        with pytest.raises(lai.InvalidFieldError, match=r"^session_id ") as caught:
            call(session_id=session_id)
        assert caught.value.field == "session_id"
    assert len(events) == 0
    assert lai.get_session_id() is None


def test_an_init_that_fails_changes_nothing(events: Events) -> None:
    """Neither what is current, nor what the session it would have resumed knows."""
    outer = lai.init(masking_function=str.upper)
    with pytest.raises(lai.InvalidFieldError):
        lai.init(session_id=outer, task=7)  # type: ignore[arg-type]
    lai.update_session(task="secret")
    assert lai.get_session_id() == outer
    assert events[1]["task"] == "SECRET"
    assert len(events) == 2


def test_arguments_that_mean_nothing_here_are_named_once(
    events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    """At DEBUG, without their values: an API key is a secret."""
    caplog.set_level(logging.DEBUG, "sessionfold")
    lai.init(session_name="a")
    assert caplog.messages == []
    lai.init(api_key="key-123", providers=["x"], production_monitoring=True, evaluators=["e"])
    lai.init(api_key="key-123", capture_uncaught=False)
    (message,) = caplog.messages
    ignored = "api_key, evaluators, production_monitoring, providers"
    assert message == f"init() ignores these arguments: {ignored}"
    assert len(events) == 3


def test_a_session_can_wait_for_its_delivery_at_the_end(events: Events) -> None:
    """With the in-memory publisher there is nothing to wait for, so it returns."""
    lai.init()
    lai.end_session(wait_for_flush=True)
    assert events[-1]["is_finished"] is True


def test_clear_state_starts_anew(events: Events) -> None:
    """What was current has ended, and the next init has a client of its own."""
    lai.init()
    lai.clear_state()
    assert lai.get_session_id() is None
    assert lai.stats().accepted == 0
    assert [event["is_finished"] for event in events] == [False, True]
