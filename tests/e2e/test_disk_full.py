"""The store's disk is full: the service waits, and goes on by itself when there is room."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest

from benchmarks.workload import Workload, fill
from tests.conftest import require
from tests.e2e.conftest import CommandLine, store_url
from tests.e2e.members import Members, next_offsets, wait_until
from tests.services.kafka import Broker
from tests.services.topics import end_offsets

pytestmark = pytest.mark.kafka

WORKLOAD = Workload(events=60_000, sessions=20_000)
"""Whose states take several times the room that there is at first."""

_SMALL, _LARGE = "size=4m", "size=128m"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of its own, that is full soon."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    problem = _mount("-t", "tmpfs", "-o", _SMALL, "sessionfold-test", str(disk))
    require(f"no tmpfs can be mounted here: {problem}" if problem else None)
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_is_waited_for(
    broker: Broker, topic: str, cli: CommandLine, folder: Path, small_disk: Path
) -> None:
    """Not ready meanwhile, what was committed is right; after that nothing is missing."""
    fill(broker.bootstrap_servers, topic, WORKLOAD)
    store = cli.environment["SESSIONFOLD_STORE"] = store_url(small_disk / "sessions.db")
    options = ("--metrics-address", "127.0.0.1:0", "--batch-records", "2000")
    with Members(cli, folder, options) as members:
        members.start("only")
        wait_until(lambda: "is full" in members.words("only"), "a full disk", members)
        wait_until(lambda: not _is_ready(members.words("only")), "that it is not ready", members)
        assert 0 < sum(next_offsets(store).values()) < WORKLOAD.events
        assert ": right (" in cli.good("verify")
        members.assert_running()
        assert _mount("-o", f"remount,{_LARGE}", str(small_disk)) == ""
        wait_until(lambda: next_offsets(store) == end_offsets(broker, topic), "its end", members)
        wait_until(lambda: _is_ready(members.words("only")), "readiness", members)
        members.stop()
    assert "going on after" in members.words("only")
    assert "60,000 records, 4 partitions, 20,000 sessions" in cli.good("verify")


def _mount(*arguments: str) -> str:
    """Return what mount complained of; nothing when it was done."""
    ended = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    return ended.stderr or ("" if ended.returncode == 0 else "mount failed")


def _is_ready(words: str) -> bool:
    found = re.search(r"health and metrics: http://(\S+)", words)
    assert found is not None, words
    with closing(HTTPConnection(found[1], timeout=5)) as connection:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
