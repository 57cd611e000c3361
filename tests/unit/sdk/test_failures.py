"""The callback for failures: told of each loss, from no thread of the worker's, and contained."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import sessionfold as lai
from tests.unit.sdk.held import held


def test_it_is_told_how_many_updates_were_dropped_and_why() -> None:
    """The numbers add up to those of the accounts."""
    told: list[lai.Failure] = []
    with held(on_failure=told.append) as publisher:
        lai.init(session_id="a")
        publisher.fail(error="timed out")
        assert told == [lai.Failure(reason="timed out", dropped=1)]
        publisher.refuses = "not amused"
        lai.update_session(task="t")
        lai.shutdown()
        assert sum(each.dropped for each in told) == lai.stats().dropped == 3


def test_it_may_call_the_sdk_and_fail() -> None:
    """What it raises stays with it; what it reports is an update like others."""
    threads: list[str] = []

    def report(failure: lai.Failure) -> None:
        threads.append(threading.current_thread().name)
        assert lai.stats().dropped > 0
        assert not lai.flush(30)
        if len(threads) == 1:
            lai.update_session(task=failure.reason, session_id="ops")
        raise KeyError

    with held(threaded=True, on_failure=report) as publisher:
        publisher.refuses = "not amused"
        lai.init(session_id="a")
        lai.flush(30)
        publisher.refuses = None
        lai.update_session(task="goes on")
        lai.flush(0.1)
        publisher.deliver_all()
    assert set(threads) == {"sessionfold"}


def test_it_is_told_when_there_is_no_spool(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With the path and what to do; once, and in the log, too."""
    told: list[lai.Failure] = []
    nowhere = tmp_path / "file"
    nowhere.write_text("in the way")
    with held(on_full="spool", spool_directory=nowhere, on_failure=told.append) as publisher:
        lai.init(session_id="a")
        publisher.fail()
        assert lai.stats() == lai.Stats(accepted=1, in_flight=1)
        (about_the_spool,) = [each for each in told if str(nowhere) in each.reason]
        assert about_the_spool.reason in caplog.messages
        nowhere.unlink()
        lai.shutdown()
        assert lai.stats() == lai.Stats(accepted=1 + 1, spooled=2)
