"""Calls that break into other calls: log handlers, finalizers, signals, callbacks, Ctrl+C.

Whatever breaks in, wherever: nothing hangs, every update is accounted for at every moment, and no
event is on another session than the one it was meant for. With a broker, and with none.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from sessionfold_schemas import decode
from tests.e2e.conftest import ROOT
from tests.services.kafka import Broker
from tests.services.topics import read_all

pytestmark = pytest.mark.kafka

NOWHERE = "127.0.0.1:9"
SECONDS = 0.5
SOAK_SECONDS = 300.0
SMALL: dict[str, Any] = {"queue_events": "200", "spool_megabytes": "1"}
"""So that the queue and the spool are full at times."""

GAP = pytest.mark.xfail(strict=True, reason="not so yet")
RARE = pytest.mark.xfail(
    strict=False, reason="Ctrl+C within Condition.wait, or between two entries in the books"
)

KINDS = ("logs", "finalizers", "signals", "masks", "failures")
INTERRUPTS = pytest.param("interrupts", marks=RARE)
WITHOUT = (
    ("logs", "spool"),
    ("finalizers", "drop"),
    ("signals", "spool"),
    pytest.param("signals", "block", marks=GAP),
    ("masks", "spool"),
    ("failures", "drop"),
    pytest.param("interrupts", "spool", marks=RARE),
    pytest.param("interrupts", "drop", marks=RARE),
    pytest.param("interrupts", "block", marks=RARE),
)


@pytest.mark.parametrize("kind", [*KINDS, INTERRUPTS])
def test_with_a_broker(kind: str, broker: Broker, topic: str, tmp_path: Path) -> None:
    """Everything is delivered, on the sessions that were meant."""
    accounts = disturbed(
        kind, flush_seconds=30.0, servers=broker.bootstrap_servers, topic=topic, spool=tmp_path
    )
    assert accounts["flushed"]
    assert accounts["delivered"] == accounts["accepted"] > accounts["rounds"] > 0
    assert len(checked_records(broker, topic)) == accounts["delivered"] - accounts["coalesced"]


@pytest.mark.parametrize(("kind", "on_full"), WITHOUT)
def test_without_a_broker(kind: str, on_full: str, tmp_path: Path) -> None:
    """Everything is spooled or dropped, and counted."""
    accounts = disturbed(
        kind, servers=NOWHERE, spool=tmp_path, on_full=on_full, block_seconds="0.01", **SMALL
    )
    assert not accounts["flushed"]
    assert accounts["accepted"] == accounts["spooled"] + accounts["dropped"] > accounts["rounds"]
    assert bool(accounts["spooled"]) == (on_full == "spool")


def test_all_at_once(broker: Broker, topic: str, tmp_path: Path) -> None:
    """On a small queue: some updates are coalesced, spooled or dropped, and all are counted."""
    accounts = disturbed(
        *KINDS,
        flush_seconds=30.0,
        servers=broker.bootstrap_servers,
        topic=topic,
        spool=tmp_path,
        queue_events="200",
    )
    settled = accounts["delivered"] + accounts["spooled"] + accounts["dropped"]
    assert settled == accounts["accepted"] > accounts["dropped"]
    checked_records(broker, topic)


@pytest.mark.soak
def test_five_minutes_with_a_broker(broker: Broker, topic: str, tmp_path: Path) -> None:
    """All at once, for so long."""
    servers = broker.bootstrap_servers
    disturbed(*KINDS, seconds=SOAK_SECONDS, servers=servers, topic=topic, spool=tmp_path, **SMALL)
    checked_records(broker, topic)


@pytest.mark.soak
@pytest.mark.parametrize("kinds", [KINDS, ("interrupts", "logs", "finalizers")], ids=str)
@pytest.mark.parametrize("on_full", ["spool", "block", "drop"])
def test_five_minutes_without_a_broker(
    kinds: tuple[str, ...], on_full: str, tmp_path: Path
) -> None:
    """All at once, for so long."""
    disturbed(
        *kinds, seconds=SOAK_SECONDS, servers=NOWHERE, spool=tmp_path, on_full=on_full, **SMALL
    )


@GAP
def test_a_call_may_come_in_the_middle_of_the_first_one(tmp_path: Path) -> None:
    """From a signal handler or a finalizer, while the first one imports what it needs."""
    run(
        """
        import sys
        import sessionfold as lai
        lai.configure(exit_timeout_seconds=0)
        def break_in(event, arguments):
            if event == "import" and arguments[0] == "importlib.resources.readers":
                lai.update_session(task="t", session_id="within")
        sys.addaudithook(break_in)
        lai.init()
        lai.shutdown(0)
        """,
        spool=tmp_path,
    )


@GAP
def test_a_call_may_come_while_the_client_is_made(tmp_path: Path) -> None:
    """There is one client in the end, and it has the books on that call, too."""
    run(
        """
        import sessionfold as lai

        class Settings(dict):
            def items(self):
                lai.update_session(task="t", session_id="within")
                return super().items()

        try:
            lai.configure(kafka=Settings({"client.id": "a"}), exit_timeout_seconds=0)
        except lai.ConfigurationError:
            pass
        lai.init()
        assert lai.stats().accepted == 2, lai.stats()
        lai.shutdown(0)
        """,
        spool=tmp_path,
    )


@GAP
def test_a_callback_that_waits_for_the_sdk_does_not_keep_it_from_its_work(tmp_path: Path) -> None:
    """It runs where the work is done: what it waits for cannot come."""
    run(
        """
        import time
        import sessionfold as lai
        waited = []
        def on_failure(failure):
            begun = time.monotonic()
            assert lai.flush(8) is False
            lai.update_session(task="t", session_id="b")
            lai.end_session(session_id="b", wait_for_flush=True)
            waited.append(time.monotonic() - begun)
        lai.configure(on_failure=on_failure, on_full="drop", queue_events=1)
        while not waited:
            lai.update_session(task="t", session_id=f"a{time.monotonic()}")
            time.sleep(0.01)
        lai.shutdown(0)
        assert waited[0] < 4, waited
        """,
        spool=tmp_path,
    )


@GAP
def test_a_callback_that_exits_does_not_stop_the_sdk(tmp_path: Path) -> None:
    """``SystemExit`` in a thread ends it silently; everything would wait for ever."""
    run(
        """
        import sys, time
        import sessionfold as lai
        called = []
        def on_failure(failure):
            called.append(failure)
            sys.exit("stop")
        lai.configure(on_failure=on_failure, on_full="drop", queue_events=1)
        while not called:
            lai.update_session(task="t", session_id=f"a{time.monotonic()}")
            time.sleep(0.01)
        lai.shutdown(1)
        stats = lai.stats()
        assert (stats.in_flight, stats.dropped) == (0, stats.accepted), stats
        """,
        spool=tmp_path,
    )


BLOCKED = """
    import signal, threading, time
    import sessionfold as lai
    lai.configure(on_full="block", block_seconds=10, queue_events=1, exit_timeout_seconds=0)
    lai.init()
    lai.update_session(task="t", session_id="first")
    def balance():
        stats = lai.stats()
        parts = stats.delivered + stats.spooled + stats.dropped + stats.in_flight
        assert (stats.accepted, stats.in_flight >= 0) == (parts, True), stats
"""


@GAP
def test_the_books_balance_while_a_call_waits_for_room(tmp_path: Path) -> None:
    """An update is accepted when it has found its place, or is dropped."""
    run(
        BLOCKED
        + """
    waiting = threading.Thread(target=lai.update_session, args=["t"], daemon=True)
    waiting.start()
    time.sleep(0.5)
    assert waiting.is_alive()
    balance()
    lai.shutdown(0)
    balance()
    """,
        spool=tmp_path,
    )


@GAP
def test_ctrl_c_while_a_call_waits_for_room(tmp_path: Path) -> None:
    """It is the caller's, and what waited is not accepted."""
    run(
        BLOCKED
        + """
    def interrupt(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        for number in range(10):
            lai.update_session(task="t", session_id=f"s{number}")
    except KeyboardInterrupt:
        balance()
        lai.shutdown(0)
        balance()
        assert lai.stats().in_flight == 0
    else:
        raise SystemExit("not interrupted")
    """,
        spool=tmp_path,
    )


@GAP
def test_a_full_queue_costs_no_processor_time(tmp_path: Path) -> None:
    """While nothing can be sent, nothing is tried all the time."""
    run(
        """
        import time
        import sessionfold as lai
        lai.configure(on_full="drop", queue_events=200, exit_timeout_seconds=0)
        for number in range(400):
            lai.update_session(task="t", session_id=f"s{number}")
        time.sleep(0.5)
        before = time.process_time()
        time.sleep(1)
        used = time.process_time() - before
        assert used < 0.05, used
        """,
        spool=tmp_path,
    )


def disturbed(
    *kinds: str,
    seconds: float = SECONDS,
    flush_seconds: float = 0.1,
    **settings: Any,  # noqa: ANN401 - settings of the SDK
) -> dict[str, Any]:
    """Run the worker of ``disturbances.py``; return its accounts, which balanced all the time."""
    command = ["-m", "tests.e2e.disturbances", str(seconds), str(flush_seconds), *kinds]
    accounts: dict[str, Any] = json.loads(_ended(command, seconds + 100.0, settings))
    assert accounts["unbalanced"] == 0
    assert accounts["in_flight"] == 0
    return accounts


def run(program: str, **settings: Any) -> None:  # noqa: ANN401 - settings of the SDK
    """Run a program to its end, with no broker."""
    _ended(["-c", textwrap.dedent(program)], 60.0, {"servers": NOWHERE, **settings})


def checked_records(broker: Broker, topic: str) -> list[dict[str, Any]]:
    """Return the events of a topic; each text is the session that it is about."""
    events = [decode(each.value, key=each.key)[1] for each in read_all(broker, topic)]
    texts = [(event["session_id"], event["task"]) for event in events if event["task"] is not None]
    assert [each for each in texts if each[0] != each[1]] == []
    return events


def _ended(arguments: list[str], timeout_seconds: float, settings: dict[str, Any]) -> str:
    names = {"servers": "bootstrap_servers", "spool": "spool_directory"}
    given = {f"SESSIONFOLD_{names.get(k, k).upper()}": str(v) for k, v in settings.items()}
    ended = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
