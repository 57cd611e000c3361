"""What ``dev`` does once it has settings: fold in a thread, run workers, show sessions."""

from __future__ import annotations

import os
import shlex
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import IO

import click
from rich.live import Live
from rich.table import Table

from ..bootstrap import Wiring, end_offsets, service
from ..config import Settings
from ..errors import ConfigurationError
from ..observer import Observer, Progress
from ..state import State
from ..store import Selection, SessionStore, open_store
from ._output import printable
from ._table import console, sessions_table, status

_REFRESH_SECONDS = 0.5
_SHOWN_SESSIONS = 30
_CATCH_UP_SECONDS = 20.0
_OUTPUT_LINES_SHOWN = 10

Stopping = Callable[[], bool]


class _Readiness(Observer):
    """Sets an event when the service has its partitions."""

    def __init__(self, ready: threading.Event) -> None:
        self._ready = ready

    def progressed(self, progress: Progress) -> None:
        """Take how far the service is."""
        if progress.next_offsets:
            self._ready.set()


class DevSession:
    """One run of ``dev``. Belongs to the main thread; the consumer has a thread of its own.

    Args:
        settings: where broker, topic and store are.
        folder: for the workers' output; removed by the caller.
        embedded: whether the broker is the embedded one.
    """

    def __init__(self, settings: Settings, folder: Path, *, embedded: bool) -> None:
        self._settings = settings
        self._folder = folder
        self._embedded = embedded
        self._ended = threading.Event()
        self._ready = threading.Event()

    def run(self, commands: Sequence[str], stopping: Stopping) -> int:
        """Fold and show until told to stop, or until all workers have ended and been folded.

        Returns:
            The exit code: 0, or 1 when a worker failed.
        """
        with ThreadPoolExecutor(1, "sessionfold-consumer") as executor:
            consumer = executor.submit(self._fold)
            try:
                self._wait_until_ready(consumer)
                self._say_hello()
                return self._with_workers(commands, consumer, stopping)
            finally:
                self._ended.set()
                consumer.result()

    def environment(self) -> dict[str, str]:
        """Return the variables that point a worker (and this program's commands) here."""
        return {
            "SESSIONFOLD_BOOTSTRAP_SERVERS": self._settings.bootstrap_servers,
            "SESSIONFOLD_TOPIC": self._settings.topic,
            "SESSIONFOLD_STORE": self._settings.store,
        }

    def _fold(self) -> None:
        wiring = Wiring(in_group=False, embedded=self._embedded)
        with service(self._settings, wiring, _Readiness(self._ready)) as ready:
            ready.run(self._ended.is_set)

    def _wait_until_ready(self, consumer: Future[None]) -> None:
        while not self._ready.wait(0.05):
            if consumer.done():
                consumer.result()

    def _say_hello(self) -> None:
        if self._embedded:
            click.echo("An embedded broker, for trying out: in memory, gone when this ends.")
        else:
            click.echo(f"The broker at {self._settings.bootstrap_servers}, not an embedded one.")
        exported = " ".join(f"{k}={shlex.quote(v)}" for k, v in self.environment().items())
        click.echo("Point any worker (and `sessionfold list`) at it, in another terminal:\n")
        click.echo(f"  export {exported}\n")

    def _with_workers(
        self, commands: Sequence[str], consumer: Future[None], stopping: Stopping
    ) -> int:
        workers: list[_Worker] = []
        try:
            for each in commands:
                workers.append(_Worker(each, self._folder, self.environment()))  # noqa: PERF401
            with closing(open_store(self._settings.store, read_only=True)) as store:
                view = _View(lambda: _in_order_of_start(store))
                view.show_while(lambda: not (stopping() or consumer.done() or _ended(workers)))
                if workers and not stopping():
                    self._wait_until_folded(consumer)
                view.show_at_end()
        finally:
            codes = [worker.end() for worker in workers]
        # Who was stopped together with this program has not failed.
        failed = [] if stopping() else [w for w, code in zip(workers, codes, strict=True) if code]
        for worker in failed:
            click.echo(worker.report(), err=True)
        return 1 if failed else 0

    def _wait_until_folded(self, consumer: Future[None]) -> None:
        ends = end_offsets(self._settings)
        deadline = time.monotonic() + _CATCH_UP_SECONDS
        with closing(open_store(self._settings.store, read_only=True)) as store:
            while not consumer.done() and time.monotonic() < deadline:
                positions = store.positions()
                if all(positions[p].next_offset >= end for p, end in ends.items()):
                    return
                time.sleep(0.05)


class _Worker:
    """A worker's process; what it prints is kept for the case that it fails."""

    def __init__(self, command: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.command = command
        self._output: IO[bytes] = (folder / f"worker-{id(self)}.log").open("w+b")
        try:
            self.process = subprocess.Popen(
                shlex.split(command),
                env={**os.environ, **environment},
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                # Ctrl+C is for this program, which then ends its workers by itself.
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigurationError(
                f"--run {command!r} cannot be started: {error.strerror}; name a program and its "
                "arguments, as in --run 'python worker.py'"
            ) from error

    def end(self) -> int:
        """Stop the worker if it still runs, and return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait()

    def report(self) -> str:
        """Return what it printed last."""
        self._output.seek(0)
        lines = self._output.read().decode(errors="replace").splitlines()[-_OUTPUT_LINES_SHOWN:]
        output = "".join(f"\n  {printable(line)}" for line in lines) or " it printed nothing"
        return f"`{self.command}` ended with exit code {self.process.returncode}:{output}"


def _ended(workers: Sequence[_Worker]) -> bool:
    return bool(workers) and all(worker.process.poll() is not None for worker in workers)


def _in_order_of_start(store: SessionStore) -> list[State]:
    """Return the sessions last heard of, in an order in which none changes its place."""
    states = store.select(Selection(limit=_SHOWN_SESSIONS))
    return sorted(states, key=lambda state: (state["first_occurred_at"], state["session_id"]))


class _View:
    """Shows sessions while they change: a table that renews itself on a terminal, else lines."""

    def __init__(self, read: Callable[[], list[State]]) -> None:
        self._read = read
        self._console = console()
        self._shown: dict[tuple[str, int], int] = {}

    def show_while(self, going_on: Callable[[], bool]) -> None:
        """Show until ``going_on`` is false."""
        if not self._console.is_terminal:
            while going_on():
                self._print_changes()
                time.sleep(_REFRESH_SECONDS)
            self._print_changes()
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while going_on():
                live.update(self._table(), refresh=True)
                time.sleep(_REFRESH_SECONDS)

    def show_at_end(self) -> None:
        """Print the sessions as they are now."""
        if not self._console.is_terminal:
            self._print_changes()
            self._console.print()
        self._console.print(self._table())

    def _table(self) -> Table:
        return sessions_table(self._read(), time.time_ns() // 1000, self._console.width)

    def _print_changes(self) -> None:
        for state in self._read():
            key = (state["session_id"], state["partition"])
            if self._shown.get(key) == state["last_offset"]:
                continue
            self._shown[key] = state["last_offset"]
            name = printable(state["session_name"] or state["session_id"])
            task = printable(state["task"] or "-")
            score = "" if state["session_eval"] is None else f" eval {state['session_eval']:g}"
            self._console.print(f"{name}: {task}{score} [{status(state)}]")
