"""Runs the cells of one state side by side, and counts what became of their calls."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.e2e.ends import counts, servers, spools
from tests.e2e.ends.counts import Counts
from tests.e2e.ends.kinds import Kind
from tests.e2e.ends.states import QUEUE_EVENTS, State
from tests.e2e.ends.verdict import Outcome
from tests.services.kafka import KafkaBroker
from tests.services.topics import create_topic, read_all, unique_topic_name

ROOT = Path(__file__).parents[3]
STEP_TIMEOUT_SECONDS = 90.0

_BEFORE_RELIEF_SECONDS = 0.5
_LOOK_SECONDS = 0.02
_LEAVE_SECONDS = 5.0


class HarnessError(Exception):
    """Raised when a cell does not come to its end in the way that it is built for."""


class Running:
    """One cell under way.

    Args:
        kind: how it ends.
        folder: its own, empty.
        environment: what its processes get, beside the folder's and the cell's names.
    """

    def __init__(self, kind: Kind, folder: Path, environment: dict[str, str]) -> None:
        self.kind = kind
        self.folder = folder
        self.environment = environment | {
            "ENDS_FOLDER": str(folder),
            "ENDS_CELL": kind.name,
            "SESSIONFOLD_SPOOL_DIRECTORY": str(self.spool),
            **{f"SESSIONFOLD_{name}": value for name, value in kind.settings.items()},
        }
        folder.mkdir()
        self._process = self._start(kind.command(folder))
        if kind.serves:
            threading.Thread(target=servers.request, args=(folder,), daemon=True).start()
        self._end_at = 0.0
        self._is_closed = False
        self._server_waits = kind.child_ends_first
        self.seconds = 0.0
        self.left_behind = False

    @property
    def spool(self) -> Path:
        """Where its processes keep what they cannot deliver."""
        return self.folder / "spool"

    def tell(self, phase: str) -> None:
        """Say that a phase has come."""
        (self.folder / phase).touch()

    def wait(self, phase: str) -> None:
        """Wait until the cell says that it has reached a phase.

        Raises:
            HarnessError: when it ends before.
        """
        path = self.folder / phase

        def problem() -> str:
            return f"{self.kind.name} is not {phase}: {self.words('stderr')}"

        wait_until(lambda: path.exists() or self._process.poll() is not None, problem)
        if not path.exists():
            raise HarnessError(problem())

    def wait_until_filled(self) -> None:
        """Wait until all roles have made their calls; threads have no such moment."""
        for role in self.kind.roles:
            if role != "thread":
                self.wait(f"filled.{role}")

    def end(self) -> None:
        """Order it to end."""
        self._end_at = time.monotonic()
        self.tell("end")
        if self.kind.ended_by is not None and not self._server_waits:
            self._process.send_signal(self.kind.ended_by)

    def has_ended(self) -> bool:
        """Say whether it has ended; once a child that ends first has, its server is killed."""
        if self._server_waits and not _exists(int((self.folder / "pid.child").read_text())):
            self._server_waits = False
            os.killpg(self._process.pid, signal.SIGKILL)
        if self._process.poll() is None:
            return False
        self.seconds = self.seconds or time.monotonic() - self._end_at
        return True

    def close(self) -> None:
        """Kill what is left of it, and note that it was. Does nothing the second time."""
        if self._is_closed:
            return
        self._is_closed = True
        deadline = time.monotonic() + (_LEAVE_SECONDS if self._process.poll() is not None else 0)
        while self._is_there() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
        if self._is_there():
            self.left_behind = True
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def outcome(self, state: State, before: Counts, kept: set[int], after: Counts) -> Outcome:
        """Return what has come of it."""
        code = self._process.returncode
        return Outcome(
            kind=self.kind,
            state=state,
            exit_code=code if self.seconds else None,
            printed=self.words("stdout"),
            stderr=self.words("stderr"),
            seconds=self.seconds,
            left_behind=self.left_behind,
            returned={role: self._size(f"returned.{role}") for role in self.kind.roles},
            books={
                role: json.loads(path.read_text())
                for role in self.kind.roles
                if (path := self.folder / f"books.{role}").exists()
            },
            before=before,
            kept=kept,
            after=after,
            left_on_disk=tuple(sorted(each.name for each in spools.files(self.spool))),
        )

    def words(self, stream: str) -> str:
        """Return what the worker wrote to ``stdout`` or ``stderr``."""
        return (self.folder / stream).read_text(errors="replace")

    def _start(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as err:
            return subprocess.Popen(
                command,
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def _is_there(self) -> bool:
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _size(self, name: str) -> int:
        path = self.folder / name
        return path.stat().st_size if path.exists() else 0


def run(broker: KafkaBroker, state: State, kinds: Sequence[Kind], folder: Path) -> list[Outcome]:
    """Run one cell of each kind in a state, side by side, and return what has come of them.

    Args:
        broker: it may be frozen or killed; it is well again in the end.
        state: what queue and broker are like at the ends.
        kinds: how the cells end.
        folder: where the cells' folders go.
    """
    topic = unique_topic_name("ends")
    create_topic(broker, topic)
    environment = _environment(broker, topic, state)
    cells: list[Running] = []
    try:
        for kind in kinds:
            cell = Running(kind, folder / f"{state.name}.{kind.name}", environment)
            cells.append(cell)
        _to_the_end(broker, state, cells)
    finally:
        for cell in cells:
            cell.close()
    state.heal(broker)
    before = counts.of_log(read_all(broker, topic))
    kept = [spools.calls(cell.spool) for cell in cells]
    spools.send([(cell.spool, cell.environment) for cell in cells])
    after = counts.of_log(read_all(broker, topic))
    return [
        cell.outcome(state, before[cell.kind.name], spooled, after[cell.kind.name])
        for cell, spooled in zip(cells, kept, strict=True)
    ]


def wait_until(reached: Callable[[], bool], problem: Callable[[], str]) -> None:
    """Wait until something is so.

    Raises:
        HarnessError: with ``problem`` when it takes too long.
    """
    deadline = time.monotonic() + STEP_TIMEOUT_SECONDS
    while not reached():
        if time.monotonic() > deadline:
            raise HarnessError(problem())
        time.sleep(_LOOK_SECONDS)


def _to_the_end(broker: KafkaBroker, state: State, cells: Sequence[Running]) -> None:
    for cell in cells:
        cell.wait("ready")
    state.begin(broker)
    for cell in cells:
        cell.tell("go")
    for cell in cells:
        cell.wait_until_filled()
    for cell in cells:
        cell.end()
    time.sleep(_BEFORE_RELIEF_SECONDS)
    state.relieve(broker)
    with suppress(HarnessError):  # what has not ended then is killed, and shows in its outcome
        wait_until(lambda: _all_have_ended(cells), lambda: "not all have ended")


def _all_have_ended(cells: Sequence[Running]) -> bool:
    """Ask every cell, so that each notes its own time."""
    return not [cell for cell in cells if not cell.has_ended()]


def _environment(broker: KafkaBroker, topic: str, state: State) -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SESSIONFOLD_")}
    return clean | {
        "ENDS_CALLS": str(state.calls),
        "ENDS_FLUSHES": str(int(state.flushes)),
        "SESSIONFOLD_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "SESSIONFOLD_TOPIC": topic,
        "SESSIONFOLD_QUEUE_EVENTS": str(QUEUE_EVENTS),
        "SESSIONFOLD_EXIT_TIMEOUT_SECONDS": str(state.exit_timeout_seconds),
        "SESSIONFOLD_KAFKA_RECONNECT_BACKOFF_MAX_MS": "500",
    }


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
