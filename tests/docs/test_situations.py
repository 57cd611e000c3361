"""The programs of the guide's pages, run as they are meant to be, on a real broker."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from sessionfold_schemas import decode
from tests.docs import markdown
from tests.e2e.ends import servers
from tests.services.kafka import Broker
from tests.services.topics import read_all

pytestmark = pytest.mark.kafka

_GUIDE = markdown.ROOT / "docs" / "guide"
_LONGEST_SECONDS = 120.0

_SERVED = """
async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        async with lifespan(app):
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})
    else:
        lai.init(session_name="Search")
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})
"""
"""An application for the lifespan of the page, as a framework calls it."""


def test_a_batch_job_ends_with_everything_delivered(
    broker: Broker, topic: str, tmp_path: Path
) -> None:
    """It calls neither flush nor shutdown."""
    _run(_program("batch.md", "def main()", tmp_path), broker, topic)
    tasks = [event["task"] for event in _events(broker, topic)]
    assert tasks == ["read the file", "write the rows", None, None]


def test_children_report_on_their_own_session_and_their_parents(
    broker: Broker, topic: str, tmp_path: Path
) -> None:
    """Each of them delivers what it has said; only the parent ends the parent's session."""
    _run(_program("training.md", "multiprocessing", tmp_path), broker, topic)
    events = _events(broker, topic)
    names = {event["session_id"]: event["session_name"] for event in events if event["started_at"]}
    assert sorted(names.values()) == ["Evaluate", "Shard 0", "Shard 1", "Shard 2"]
    ended = [names[event["session_id"]] for event in events if event["is_finished"]]
    assert sorted(ended) == sorted(names.values())
    tasks = {event["task"] for event in events if names[event["session_id"]] == "Evaluate"}
    assert tasks >= {f"shard {n} is evaluated" for n in range(3)}


def test_a_killed_job_of_rq_has_delivered(broker: Broker, topic: str, tmp_path: Path) -> None:
    """``clear_state()`` at a job's end leaves nothing to a process that ends without a hook."""
    program = _program("tasks.md", "clear_state", tmp_path)
    program.write_text(f"{program.read_text()}\nimport os\nos._exit(0)\n")
    _run(program, broker, topic)
    assert [event["is_finished"] for event in _events(broker, topic)].count(True) == 2


@pytest.mark.parametrize("option", ["--preload", "--threads=2"])
def test_gunicorn_delivers_when_it_is_stopped(
    broker: Broker, topic: str, tmp_path: Path, option: str
) -> None:
    """The application of the page, with nothing added."""
    _program("web.md", "def app(", tmp_path)
    command = ["gunicorn", "--workers", "2", option, "--worker-tmp-dir", str(tmp_path)]
    _serve([*command, "--bind", f"unix:{servers.SOCKET}", "program:app"], broker, topic, tmp_path)
    assert [event["task"] for event in _events(broker, topic)] == ["answer /", None, None]


def test_uvicorn_delivers_with_the_lifespan(broker: Broker, topic: str, tmp_path: Path) -> None:
    """A session that nobody ended is ended, too."""
    program = _program("web.md", "def lifespan(", tmp_path)
    program.write_text(program.read_text() + _SERVED)
    command = ["uvicorn", "--uds", servers.SOCKET, "--log-level", "warning", "program:app"]
    _serve(command, broker, topic, tmp_path)
    assert [event["is_finished"] for event in _events(broker, topic)] == [False, True]


def _program(page: str, mark: str, folder: Path) -> Path:
    """Write the first block of a page that has ``mark`` in it, as a program of its own."""
    block = next(each for each in markdown.blocks(_GUIDE / page, "python") if mark in each.text)
    program = folder / "program.py"
    program.write_text(block.text, "utf-8")
    return program


def _run(program: Path, broker: Broker, topic: str) -> None:
    environment = _environment(broker, topic)
    subprocess.run([sys.executable, program], env=environment, check=True, timeout=_LONGEST_SECONDS)


def _serve(command: Sequence[str], broker: Broker, topic: str, folder: Path) -> None:
    """Start a server in ``folder``, make one request, and stop it by SIGTERM."""
    server = subprocess.Popen(
        [sys.executable, "-m", *command], env=_environment(broker, topic), cwd=folder
    )
    try:
        assert servers.request(folder) == 200
        server.send_signal(signal.SIGTERM)
        server.wait(_LONGEST_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            server.kill()
        server.wait()


def _environment(broker: Broker, topic: str) -> dict[str, str]:
    """Return variables with which nothing is delivered before somebody waits for it."""
    return os.environ | {
        "SESSIONFOLD_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "SESSIONFOLD_TOPIC": topic,
        "SESSIONFOLD_LINGER_MILLISECONDS": "600000",
        "SESSIONFOLD_EXIT_TIMEOUT_SECONDS": "30",
    }


def _events(broker: Broker, topic: str) -> list[dict[str, Any]]:
    """Return all events; those of one session in their order."""
    return [decode(record.value, key=record.key)[1] for record in read_all(broker, topic)]
