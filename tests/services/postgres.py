"""A real PostgreSQL server as a child process on loopback, without Docker.

By hand: ``python -m tests.services.postgres`` runs one until Ctrl+C.
"""

from __future__ import annotations

import argparse
import getpass
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Literal, Self

import psycopg
from psycopg import OperationalError
from psycopg.errors import InsufficientPrivilege

from .kafka_configuration import free_ports
from .postgres_databases import Postgres, Trap, connect, database_name, query, with_user
from .postgres_installation import PostgresError, identity, postgres_available, prepare
from .postgres_process import children, end_process, watch

__all__ = [
    "InsufficientPrivilege",
    "OperationalError",
    "Postgres",
    "PostgresError",
    "PostgresServer",
    "Trap",
    "connect",
    "database_name",
    "postgres_available",
    "query",
    "with_user",
]

START_TIMEOUT_SECONDS = 60.0

StopMode = Literal["fast", "immediate"]

_LOG_LINES_SHOWN = 30
_SIGNALS: dict[StopMode, signal.Signals] = {"fast": signal.SIGINT, "immediate": signal.SIGQUIT}
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "50",
    "shared_buffers": "32MB",
    # In its own folder, so that nothing stays in the machine's when it is killed.
    "dynamic_shared_memory_type": "mmap",
}
_FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""Faster; safe when a process is killed, not when the machine is."""


class PostgresServer(Postgres):
    """One server with its data in a temporary folder.

    A context manager; made by :meth:`start`. The server dies with this process, even if that is
    killed. After :meth:`kill` or :meth:`stop` it can :meth:`restart` with the same port and data;
    after :meth:`close` its data is gone. Not thread-safe.
    """

    def __init__(self, settings: Mapping[str, str]) -> None:
        """Prepare data and port; :meth:`start` is the way to make a running one."""
        (port,) = free_ports(1)
        super().__init__(f"postgresql://postgres@127.0.0.1:{port}/postgres")
        self._folder = Path(tempfile.mkdtemp(prefix="sessionfold-postgres-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._settings = {**_SETTINGS, "port": str(port), **settings}
        try:
            self._programs = prepare(self._folder)
        except BaseException:
            self.close()
            raise

    @classmethod
    def start(cls, durable: bool = False, settings: Mapping[str, str] | None = None) -> Self:
        """Start a server and wait until it answers.

        Args:
            durable: as PostgreSQL comes; else without waiting for the disk, for tests of logic.
            settings: settings that go over those of this module.

        Raises:
            JavaError: when PostgreSQL cannot be fetched.
            PostgresError: with the last lines of the server's log when it does not answer within
                ``START_TIMEOUT_SECONDS``.
        """
        server = cls({**({} if durable else _FORGETFUL), **(settings or {})})
        try:
            server.restart()
        except BaseException:
            server.close()
            raise
        return server

    def __enter__(self) -> Self:
        """Return the running server."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server and remove its data."""
        self.close()

    @property
    def pid(self) -> int:
        """The process ID of the server's first process.

        Raises:
            PostgresError: when it is not running.
        """
        if self._process is None:
            raise PostgresError("the server is not running; call restart()")
        return self._process.pid

    @property
    def folder(self) -> Path:
        """Its folder, which ``user`` can reach and write to; gone after :meth:`close`."""
        return self._folder

    @property
    def user(self) -> str:
        """Whom it runs as."""
        return identity().get("user") or getpass.getuser()

    @property
    def log(self) -> Path:
        """The file with what the server printed; gone after :meth:`close`."""
        return self._folder / "server.log"

    def restart(self) -> None:
        """Start again with the same port and data, after stopping the server if it runs.

        Raises:
            PostgresError: as for :meth:`start`.
        """
        self.stop()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **identity(),
            )
        self._watchdog = watch(self._process.pid, self._folder)
        self._wait_until_ready()

    def stop(self, mode: StopMode = "fast") -> None:
        """End the server and keep its data. Nothing happens if it is not running.

        Args:
            mode: ``fast`` ends all connections in good order; ``immediate`` drops everything, so
                that the next start recovers from the log as after a crash.
        """
        if self._process is not None:
            end_process(self._process, _SIGNALS[mode])
        self._forget_process()

    def kill(self) -> None:
        """End all processes of the server with SIGKILL and keep its data, as a crash would."""
        if self._process is not None:
            others = children(self._process.pid)
            end_process(self._process, signal.SIGKILL)
            for child in others:
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
        self._forget_process()

    def close(self) -> None:
        """End the server for good and remove its data. A second call does nothing."""
        self.stop("immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _command(self) -> list[str]:
        program = str(self._programs / "bin" / "postgres")
        options = [f"--{name}={value}" for name, value in self._settings.items()]
        return [program, "-D", str(self._folder / "data"), *options]

    def _forget_process(self) -> None:
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate()
        self._process = self._watchdog = None

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None:
                raise PostgresError(
                    f"the server ended while starting; its log ends:\n{self._tail()}"
                )
            if time.monotonic() > deadline:
                raise PostgresError(
                    f"the server at {self.url('postgres')} did not answer within "
                    f"{START_TIMEOUT_SECONDS:g} s; its log ends:\n{self._tail()}"
                )
            time.sleep(0.02)

    def _answers(self) -> bool:
        """Log in; a server that still recovers refuses that."""
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES_SHOWN:])


def main() -> int:
    """Run one server in the foreground until Ctrl+C or SIGTERM; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.services.postgres", description=main.__doc__
    )
    parser.add_argument("--durable", action="store_true", help="wait for the disk, as in earnest")
    arguments = parser.parse_args()
    missing = postgres_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with PostgresServer.start(durable=arguments.durable) as server:
            print(f"SESSIONFOLD_TEST_POSTGRES_URL={server.url('postgres')}", flush=True)
            while True:  # signal.pause() would miss a signal that came just before it
                time.sleep(0.2)
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
