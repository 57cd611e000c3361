"""A PostgreSQL that is stopped, killed, frozen or full: the service over it goes on and is right.

Each test counts that its fault really happened.
"""

from __future__ import annotations

import os
import random
import signal
import time

import pytest

from sessionfold_consumer.store import migrate_store, postgres_answers
from tests.conftest import require
from tests.integration.folding import Folding
from tests.services.disks import MountError, SmallDisk, small_disk
from tests.services.postgres import PostgresServer, query

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("hurried")]

_BACKEND = """
    SELECT pid FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'sessionfold'
"""


@pytest.mark.parametrize("times", [3, pytest.param(30, marks=pytest.mark.soak)])
def test_the_server_is_restarted_in_immediate_mode(
    own_postgres: PostgresServer, own_url: str, times: int
) -> None:
    """It recovers from its own log each time; what was committed is there."""
    chance = random.Random(times)
    with Folding(own_url) as folding:
        for _ in range(times):
            time.sleep(chance.uniform(0, 0.3))
            own_postgres.stop("immediate")
            folding.wait_for(lambda: folding.is_waiting, "that it waits")
            own_postgres.restart()
            folding.wait_for_progress()
            folding.check()
        folding.finish()
    assert own_postgres.log.read_text().count("was not properly shut down") == times
    assert folding.seen.waiting["store"] >= times


@pytest.mark.parametrize("seconds", [1.0, pytest.param(60.0, marks=pytest.mark.soak)])
def test_the_server_is_away_for_a_while(
    own_postgres: PostgresServer, own_url: str, seconds: float
) -> None:
    """It fetches nothing meanwhile, and goes on by itself."""
    with Folding(own_url) as folding:
        own_postgres.stop("fast")
        folding.wait_for(lambda: folding.is_waiting, "that it waits")
        appended = len(folding.topic.records)
        time.sleep(seconds)
        assert len(folding.topic.records) == appended
        assert folding.is_waiting
        own_postgres.restart()
        folding.wait_for_progress()
        folding.finish()
    assert own_postgres.log.read_text().count("received fast shutdown request") == 1


@pytest.mark.parametrize("times", [2, pytest.param(20, marks=pytest.mark.soak)])
def test_the_server_is_killed(own_postgres: PostgresServer, own_url: str, times: int) -> None:
    """All of its processes at once, with SIGKILL, as by a power failure."""
    chance = random.Random(times)
    with Folding(own_url) as folding:
        for _ in range(times):
            time.sleep(chance.uniform(0, 0.3))
            own_postgres.kill()
            folding.wait_for(lambda: folding.is_waiting, "that it waits")
            own_postgres.restart()
            folding.wait_for_progress()
            folding.check()
        folding.finish()
    assert own_postgres.log.read_text().count("was not properly shut down") == times


def test_its_backend_is_frozen_and_thaws(own_postgres: PostgresServer, own_url: str) -> None:
    """It waits for the answer; nothing is done twice."""
    with Folding(own_url) as folding:
        ((pid,),) = query(own_url, _BACKEND)
        os.kill(pid, signal.SIGSTOP)
        commits = folding.seen.commits
        time.sleep(0.5)
        assert folding.seen.commits <= commits + 1
        os.kill(pid, signal.SIGCONT)
        folding.wait_for_progress()
        folding.finish()


def test_its_backend_is_frozen_for_good(
    own_postgres: PostgresServer,
    own_url: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The service hangs up after a while, and is heard of again long before it thaws."""
    monkeypatch.setattr(postgres_answers, "ANSWER_SECONDS", 1.0)
    with Folding(own_url) as folding:
        ((pid,),) = query(own_url, _BACKEND)
        os.kill(pid, signal.SIGSTOP)
        try:
            folding.wait_for(lambda: "hanging up" in caplog.text, "the end of its patience")
            folding.wait_for(lambda: folding.is_waiting, "that the service says so")
        finally:
            os.kill(pid, signal.SIGCONT)
        folding.wait_for_progress()
        folding.finish()


def test_the_disk_is_full(own_postgres: PostgresServer) -> None:
    """It waits, and the store is right meanwhile; when there is room it goes on."""
    try:
        with small_disk(own_postgres.folder / "disk", "64m", user=own_postgres.user) as disk:
            fold_on(own_postgres, disk)
    except MountError as problem:
        require(f"no small disk can be mounted here: {problem}")
    assert "No space left on device" in own_postgres.log.read_text()


def fold_on(server: PostgresServer, disk: SmallDisk) -> None:
    """Fold more than a disk has room for, until it is made larger."""
    server.administer(f"CREATE TABLESPACE small LOCATION '{disk.folder}'")
    server.administer("CREATE DATABASE small TABLESPACE small")
    url = server.url("small")
    migrate_store(url)
    disk.leave_room(500)
    with Folding(url, sessions=50_000) as folding:
        folding.wait_for(lambda: folding.seen.waiting["store"] >= 3, "a full disk")
        folding.check()
        disk.leave_room(100_000)
        folding.wait_for_progress()
        folding.finish()
