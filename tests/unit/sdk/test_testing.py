"""The testing aid that the SDK ships."""

from __future__ import annotations

import threading

import pytest

import sessionfold as lai
from sessionfold import _process, testing


def test_events_are_recorded_instead_of_published() -> None:
    """Decoded, in order, with just what was given; the list grows as calls are made."""
    with testing.record() as events:
        lai.init(session_name="a")
        assert len(events) == 1
        lai.update_session(task="t")
    assert [event.get("task") for event in events] == [None, "t"]
    assert events[0]["session_name"] == "a"
    assert [event["sequence"] for event in events[0:2]] == [0, 1]
    assert "session_eval" not in events[1]


def test_afterwards_all_is_as_before() -> None:
    """Client and current session, also when the code under test fails or leaves sessions open."""
    before = _process.existing
    with testing.record():
        outer = lai.init()
        with pytest.raises(KeyError), testing.record():
            _leave_a_session_open()
        assert lai.get_session_id() == outer
    assert _process.existing is before
    assert lai.get_session_id() is None


def test_what_was_shut_down_in_the_block_is_not_afterwards() -> None:
    """Nor are its accounts the process's: the code under test may be a whole worker."""
    before = lai.stats()
    with testing.record() as events:
        lai.init()
        lai.shutdown()
        with pytest.raises(lai.ClosedError):
            lai.flush(0)
    assert len(events) == 2
    assert lai.flush(0)
    assert lai.stats() == before


def test_what_was_shut_down_before_the_block_is_afterwards() -> None:
    """In the block it is as in a process that is new."""
    with testing.record():
        lai.shutdown()
        with testing.record():
            assert lai.stats() == lai.Stats()
            lai.clear_state()
            assert lai.flush(0)
        with pytest.raises(lai.ClosedError):
            lai.init()


def _leave_a_session_open() -> None:
    assert lai.get_session_id() is None
    lai.init()
    raise KeyError


def test_the_block_is_like_a_fresh_process() -> None:
    """A session that another thread begins is the one open session, as it would be without."""
    with testing.record() as events:
        thread = threading.Thread(target=lai.init, kwargs={"session_id": "a"})
        thread.start()
        thread.join()
        lai.update_session(task="t")
    assert events[1]["session_id"] == "a"


def test_settings_are_the_arguments_and_not_the_environments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Tests are the same on every machine."""
    monkeypatch.setenv("SESSIONFOLD_TEXT_LIMIT_BYTES", "no number")
    with testing.record(text_limit_bytes=64) as events:
        lai.init(task="x" * 65)
    assert len(events[0]["task"].encode()) <= 64


def test_a_client_that_the_block_made_is_closed_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The code under test may shut down and begin again; its thread must not stay behind."""
    monkeypatch.setenv("SESSIONFOLD_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    monkeypatch.setenv("SESSIONFOLD_EXIT_TIMEOUT_SECONDS", "0")
    with testing.record():
        lai.clear_state()
        lai.set_active_session("a")
        made = _process.client()
        assert made.threaded
    assert made.inbox.is_closed
    assert made.sender is not None
    assert made.sender.has_finished
