"""``--processes``: the same result as by one, and nothing is left when they are killed."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.workload import Workload
from tests.e2e.conftest import CommandLine
from tests.services.kafka import Broker
from tests.services.topics import append

pytestmark = pytest.mark.kafka

_RECORDS = [*Workload(events=20_000, sessions=2_000, live=200).records()]
_PATIENCE_SECONDS = 30.0
_SLOWLY = ("--batch-records", "20")


@pytest.fixture
def filled(broker: Broker, topic: str, cli: CommandLine) -> CommandLine:
    """The command line with a topic that has records."""
    append(broker, topic, _RECORDS)
    return cli


@pytest.fixture
def folded(filled: CommandLine) -> CommandLine:
    """The same with a store that has folded them."""
    filled.good("run", "--until-caught-up")
    return filled


@pytest.mark.parametrize("processes", ["2", "7"])
def test_several_processes_fold_the_same(filled: CommandLine, processes: str) -> None:
    """Also more of them than there are partitions."""
    ended = filled("run", "--until-caught-up", "--processes", processes)
    assert ended.returncode == 0, ended.stderr
    assert "folded 20,000 records" in ended.stderr
    assert ": right (" in filled.good("verify")
    assert "folded 0 records" in filled("run", "--until-caught-up", "--processes", "2").stderr


def test_several_processes_rebuild_the_same(folded: CommandLine) -> None:
    """Also more of them than there are partitions."""
    for processes in ("2", "7"):
        assert "the same" in folded.good("rebuild", "--processes", processes)
        folded.good("rebuild", "--drop-old")
    assert ": right (" in folded.good("verify")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_all_end_when_they_are_told_to(filled: CommandLine, number: signal.Signals) -> None:
    """Each of them is, as by Ctrl+C; the batches in hand are finished, and none complains."""
    run = filled.start("run", "--until-caught-up", "--processes", "2", *_SLOWLY)
    _until(lambda: _some_are_folded(filled), "a first commit")
    for each in (*_children(run.pid), run.pid):
        os.kill(each, number)
    _, words = run.communicate(timeout=_PATIENCE_SECONDS)
    assert run.returncode == 0, words
    assert "Traceback" not in words
    assert ": right (" in filled.good("verify")


def test_one_that_is_killed_ends_all(filled: CommandLine) -> None:
    """With a sentence; the next run goes on."""
    run = filled.start("run", "--until-caught-up", "--processes", "2", *_SLOWLY)
    _until(lambda: _some_are_folded(filled), "a first commit")
    _kill(_children(run.pid))
    _, words = run.communicate(timeout=_PATIENCE_SECONDS)
    assert run.returncode == 1, words
    assert "was ended; what it had stored is right" in words
    filled.good("run", "--until-caught-up")
    assert ": right (" in filled.good("verify")


def test_they_end_when_the_first_is_killed(folded: CommandLine) -> None:
    """And another rebuild goes on from what they have folded."""
    rebuild = folded.start("rebuild", "--processes", "2", "--share", "5", *_SLOWLY)
    _until(lambda: len(_children(rebuild.pid)) >= 1, "another process")
    children = _children(rebuild.pid)
    _kill([rebuild.pid])
    rebuild.communicate(timeout=_PATIENCE_SECONDS)
    _until(lambda: not any(map(_is_alive, children)), "the end of its processes")
    assert "the same" in folded.good("rebuild")
    assert ": right (" in folded.good("verify")


@pytest.mark.parametrize("options", [(), ("--until-caught-up", "--metrics-address", "0")])
def test_it_is_for_catching_up(lonely: CommandLine, options: tuple[str, ...]) -> None:
    """And says what to do instead."""
    ended = lonely("run", "--processes", "2", *options)
    assert ended.returncode == 2, ended.stderr
    assert ("start as many of them" in ended.stderr) == (options == ())


def _some_are_folded(cli: CommandLine) -> bool:
    shown = cli("list", "--limit", "1")
    return shown.returncode == 0 and bool(shown.stdout.strip())


def _kill(processes: list[int]) -> None:
    for each in processes:
        os.kill(each, signal.SIGKILL)


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started; Linux only, as is all of /proc."""
    entries = [each for each in Path("/proc").iterdir() if each.name.isdigit()]
    return [int(each.name) for each in entries if _status(each)[1:2] == [str(pid)]]


def _is_alive(pid: int) -> bool:
    return _status(Path("/proc", str(pid)))[:1] not in ([], ["Z"])


def _status(process: Path) -> list[str]:
    """Return a process's state, its parent and more; nothing when it is gone."""
    try:
        text = process.joinpath("stat").read_text("utf-8")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def _until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
