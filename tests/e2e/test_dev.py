"""``sessionfold dev``: broker, consumer and store in one process, for a first look."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, CommandLine, store_url
from tests.services.kafka import Broker
from tests.services.topics import read_all, unique_topic_name

_WORKER = shlex.join([sys.executable, str(ROOT / "examples" / "support.py")])
_FAILING = shlex.join([sys.executable, "-c", "print('about to fail'); raise SystemExit(3)"])


@pytest.fixture
def bare() -> CommandLine:
    """The command line without any configuration, and workers that hurry."""
    return CommandLine({"SESSIONFOLD_EXAMPLE_PAUSE_SECONDS": "0.05"})


def test_workers_run_and_their_sessions_are_shown(bare: CommandLine) -> None:
    """It ends by itself when they have ended, and everything they said is in the table."""
    ended = bare("dev", "--run", _WORKER, "--run", _WORKER)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert "for trying out" in ended.stdout
    table = ended.stdout.partition("SESSION ")[2]
    assert table.count("Customer Support") == table.count("succeeded") == 2


def test_a_failing_worker_is_reported(bare: CommandLine) -> None:
    """Its exit code and last words are shown, and the exit code is 1."""
    ended = bare("dev", "--run", _FAILING)
    assert ended.returncode == 1
    assert "ended with exit code 3" in ended.stderr
    assert "about to fail" in ended.stderr


def test_any_worker_can_be_pointed_at_it(bare: CommandLine) -> None:
    """The printed line is all a worker, and this program, needs; Ctrl+C ends it with 0."""
    process = bare.start("dev")
    assert process.stdout is not None
    try:
        export = next(line for line in process.stdout if "export " in line).strip()
        script = f"{export}; {_WORKER} && exec {shlex.quote(_sessionfold())} list"
        # The consumer folds within a blink; the list is asked for until it has.
        listed = _until_it_says("succeeded", script)
        assert "Customer Support" in listed
    finally:
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=30)
    assert process.returncode == 0, words


def test_nothing_is_left_behind(bare: CommandLine, tmp_path: Path) -> None:
    """Its store is in a folder of its own that goes with it."""
    ended = bare("dev", "--run", _WORKER, TMPDIR=str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.kafka
def test_a_real_broker_is_used_when_one_is_named(
    broker: Broker, bare: CommandLine, folder: Path
) -> None:
    """The topic is made when it is missing, and the events are really there."""
    topic, url = unique_topic_name(), store_url(folder / "dev.db")
    servers = broker.bootstrap_servers
    options = ["--bootstrap-servers", servers, "--topic", topic, "--store", url]
    ended = bare("dev", *options, "--run", _WORKER)
    assert ended.returncode == 0, ended.stderr
    assert f"created the topic {topic}" in ended.stdout
    assert len(read_all(broker, topic)) == 4
    assert "Customer Support" in bare.good("list", "--store", url)


def test_the_demo_shows_five_sessions(bare: CommandLine) -> None:
    """What `make demo` runs: five workers, five sessions, exit code 0."""
    ended = bare.program(ROOT / "examples" / "demo.py")
    assert ended.returncode == 0, ended.stderr
    table = ended.stdout.partition("SESSION ")[2].strip().splitlines()
    assert len(table) == 1 + 5


def _sessionfold() -> str:
    return str(Path(sys.executable).with_name("sessionfold"))


def _until_it_says(word: str, script: str) -> str:
    ended = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    relist = script.replace(f"{_WORKER} && ", "")
    for _ in range(50):
        if word in ended.stdout:
            break
        ended = subprocess.run(
            ["/bin/sh", "-c", relist], capture_output=True, text=True, check=True
        )
    return ended.stdout
