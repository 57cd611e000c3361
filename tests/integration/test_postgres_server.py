"""The test database keeps its promises: it is real, survives crashes, and dies with its test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services import postgres as module
from tests.services.maven import JavaError
from tests.services.postgres import (
    Postgres,
    PostgresError,
    PostgresServer,
    database_name,
    query,
)
from tests.services.postgres_installation import install

pytestmark = pytest.mark.postgres

_ROOT = Path(__file__).parents[2]


def test_a_fresh_database_is_empty_and_ones_own(postgres: Postgres, database: str) -> None:
    """What one holds the other does not see."""
    other = postgres.create_database()
    query(database, "CREATE TABLE kept (value text)")
    assert query(database, "SELECT count(*) FROM kept") == [(0,)]
    assert query(other, "SELECT to_regclass('kept')") == [(None,)]
    postgres.drop_database(database_name(other))
    postgres.drop_database(database_name(other))
    assert query(database, "SELECT 1 FROM pg_database WHERE datname = %s", other) == []


def test_it_sorts_by_bytes_and_keeps_all_of_unicode(database: str) -> None:
    """As any database that a store is made in should."""
    texts = "SELECT value FROM (VALUES ('b'), ('A'), ('\U0001f600')) AS t (value) ORDER BY value"
    assert query(database, texts) == [("A",), ("b",), ("\U0001f600",)]


def test_it_listens_on_loopback_only(own_postgres: PostgresServer) -> None:
    """No other machine, and no file in a folder that others share."""
    shown = [
        query(own_postgres.url("postgres"), "SELECT current_setting(%s)", name)[0][0]
        for name in ("listen_addresses", "unix_socket_directories", "fsync")
    ]
    assert shown == ["127.0.0.1", "", "on"]


@pytest.mark.parametrize("end", ["fast", "immediate", "kill"])
def test_an_ended_server_comes_back_with_its_address_and_data(
    own_postgres: PostgresServer, end: str
) -> None:
    """What was committed is there after the restart, however it ended; what was not, is not."""
    url, pid = own_postgres.create_database(), own_postgres.pid
    query(url, "CREATE TABLE kept (value integer)")
    query(url, "INSERT INTO kept VALUES (1)")
    _END[end](own_postgres)
    assert not _is_running(pid)
    own_postgres.restart()
    query(url, "INSERT INTO kept VALUES (2)")
    assert query(url, "SELECT value FROM kept ORDER BY value") == [(1,), (2,)]


_END: dict[str, Callable[[PostgresServer], None]] = {
    "fast": PostgresServer.stop,
    "immediate": lambda server: server.stop("immediate"),
    "kill": PostgresServer.kill,
}


def test_close_leaves_nothing() -> None:
    """After close() there is no process and no folder, and a second close() is harmless."""
    with PostgresServer.start() as started:
        pid, folder = started.pid, started.log.parent
        assert folder.is_dir()
    assert not _is_running(pid)
    assert not folder.exists()
    started.close()
    with pytest.raises(PostgresError, match="not running"):
        _ = started.pid


def test_a_server_that_cannot_start_says_why() -> None:
    """The error holds the server's own log."""
    with pytest.raises(PostgresError, match=r"invalid value for parameter \"max_connections\""):
        PostgresServer.start(settings={"max_connections": "nonsense"})


def test_a_server_that_does_not_answer_in_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the address and the time, and no process is left."""
    monkeypatch.setattr(module, "START_TIMEOUT_SECONDS", 0.0)
    with pytest.raises(PostgresError, match=r"127\.0\.0\.1:\d+/postgres did not answer within 0 s"):
        PostgresServer.start()


def test_the_server_dies_with_the_process_that_started_it() -> None:
    """Even when that process is killed: no server and no data stay behind."""
    code = (
        "import time; from tests.services.postgres import PostgresServer as P; s = P.start();"
        "print(s.pid, s.log.parent, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        parent.kill()
    assert _soon(lambda: not _is_running(int(pid)))
    assert _soon(lambda: not Path(folder).exists())


def test_by_hand_it_prints_its_address_and_stops_on_ctrl_c() -> None:
    """``python -m tests.services.postgres`` ends with exit code 0."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.services.postgres"],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("SESSIONFOLD_TEST_POSTGRES_URL=postgresql://")
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()  # else the end of the block would wait for it


def test_a_failed_fetch_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Maven brings nothing that can be unpacked, the cache stays empty."""
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho no network; exit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SESSIONFOLD_TEST_CACHE", str(tmp_path / "cache"))
    with pytest.raises(JavaError, match="mvn failed with exit code 1:\nno network"):
        install()
    assert list((tmp_path / "cache").iterdir()) == []


def _soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
