"""Switched off, the SDK costs nothing and complains about nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

import sessionfold as lai
from sessionfold import _process
from sessionfold._session import untouched


@pytest.fixture(autouse=True)
def disabled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As a process whose environment says so."""
    monkeypatch.setenv("SESSIONFOLD_DISABLED", "1")
    monkeypatch.setenv("SESSIONFOLD_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    with untouched(), _process.replaced(None):
        yield
        lai.shutdown()


def test_all_calls_do_nothing() -> None:
    """Also those that would raise: without a session, with a wrong value, after the end."""
    lai.update_session(task="no session")
    lai.end_session()
    session_id = lai.init(session_name=7)  # type: ignore[arg-type]
    assert isinstance(session_id, str)
    assert lai.get_session_id() == session_id
    lai.update_session(session_eval=float("nan"))
    lai.end_session(wait_for_flush=True)
    assert lai.init(session_id="mine") == "mine"
    assert lai.flush(0)
    assert lai.stats() == lai.Stats()


def test_blocks_run_their_bodies() -> None:
    """And let exceptions go on."""
    with lai.session(session_name="a") as session_id, lai.bind_session("b"):
        assert (lai.get_session_id(), isinstance(session_id, str)) == ("b", True)
    with pytest.raises(KeyError), lai.session():
        raise KeyError
    assert lai.run_session(lambda x: x + 1, 1) == 2
    assert asyncio.run(_in_a_loop()) == "done"
    assert lai.stats() == lai.Stats()


async def _in_a_loop() -> str:
    async with lai.session_async():
        await lai.aupdate_session(task="t")
    await lai.aend_session()
    return "done"


def test_no_thread_is_started_and_no_client_made() -> None:
    """Nothing is there that could harm."""
    before = threading.active_count()
    lai.init()
    assert threading.active_count() == before
    assert _process.client().sender is None
