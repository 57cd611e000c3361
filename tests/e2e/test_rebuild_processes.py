"""``sessionfold rebuild --processes``: the same result, and nothing is left when it is killed."""

from __future__ import annotations

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


@pytest.fixture
def folded(broker: Broker, topic: str, cli: CommandLine) -> CommandLine:
    """The command line with a store that is folded."""
    append(broker, topic, _RECORDS)
    cli.good("run", "--until-caught-up")
    return cli


def test_several_processes_come_to_the_same(folded: CommandLine) -> None:
    """Also more of them than there are partitions."""
    for processes in ("2", "7"):
        assert "the same" in folded.good("rebuild", "--processes", processes)
        folded.good("rebuild", "--drop-old")
    assert ": right (" in folded.good("verify")


def test_they_end_when_the_first_is_killed(folded: CommandLine) -> None:
    """And another rebuild goes on from what they have folded."""
    rebuild = folded.start("rebuild", "--processes", "2", "--batch-records", "20", "--share", "5")
    _until(lambda: len(_children(rebuild.pid)) >= 2, "two processes more")
    children = _children(rebuild.pid)
    rebuild.send_signal(signal.SIGKILL)
    rebuild.communicate(timeout=_PATIENCE_SECONDS)
    _until(lambda: not any(map(_is_alive, children)), "the end of its processes")
    assert "the same" in folded.good("rebuild")
    assert ": right (" in folded.good("verify")


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
