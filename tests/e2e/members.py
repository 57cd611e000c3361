"""``sessionfold run`` as processes that tests harm, and the oracle that follows their store."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

from sessionfold_consumer.config import Settings
from sessionfold_consumer.errors import StoreUnusableError
from sessionfold_consumer.source.kafka import KafkaSource
from sessionfold_consumer.store import open_store
from sessionfold_consumer.verify import Report, Verifier
from tests.e2e.conftest import ROOT, SESSIONFOLD, CommandLine

PATIENCE_SECONDS = 90.0


class Members:
    """Services over one store. A context manager: whoever still runs at its end is killed.

    Args:
        cli: says where topic and store are.
        folder: where each process's log goes, as ``NAME.log``.
        options: of ``sessionfold run``, for all of them.
        is_static: whether a process that is started again under its name keeps its partitions.
    """

    def __init__(
        self,
        cli: CommandLine,
        folder: Path,
        options: Sequence[str] = (),
        *,
        is_static: bool = False,
    ) -> None:
        self._cli = cli
        self._folder = folder
        self._options = [*options]
        self._is_static = is_static
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        """Return them, none started."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill whoever still runs."""
        for process in self._running.values():
            process.kill()
            process.wait()

    def start(self, name: str) -> None:
        """Start the process of this name."""
        own = ["--group-instance-id", name] if self._is_static else []
        with self._log(name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                [SESSIONFOLD, "run", *self._options, *own],
                cwd=ROOT,
                env=self._cli.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def kill(self, name: str) -> None:
        """End it with SIGKILL; it must not have ended by itself before."""
        self.assert_running()
        process = self._running.pop(name)
        process.kill()
        assert process.wait() == -signal.SIGKILL

    def stop(self) -> None:
        """End all of them in good order."""
        self.assert_running()
        for process in self._running.values():
            process.terminate()
        for name, process in self._running.items():
            assert process.wait(PATIENCE_SECONDS) == 0, self.words(name)
        self._running.clear()

    def assert_running(self) -> None:
        """Fail when one of them has ended."""
        for name, process in self._running.items():
            assert process.poll() is None, self.words(name)

    def pid(self, name: str) -> int:
        """Return the process ID of the one of this name that runs."""
        return self._running[name].pid

    def words(self, name: str) -> str:
        """Return what the processes of this name have logged."""
        return self._log(name).read_text()

    def _log(self, name: str) -> Path:
        return self._folder / f"{name}.log"


class Oracle:
    """Verifies one store again and again, reading on in the log each time. Belongs to one thread.

    Args:
        settings: where topic and store are.
    """

    def __init__(self, settings: Settings) -> None:
        self._store = settings.store
        self._verifier = Verifier(partial(KafkaSource, settings, "oracle"))

    def check(self) -> Report | None:
        """Return what the verifier finds now; None while there is no store."""
        with suppress(_NoStoreError), closing(_open(self._store)) as store:
            return self._verifier.check(store)
        return None


def next_offsets(store_url: str) -> dict[int, int]:
    """Return the positions of a store; none while there is no store."""
    with suppress(_NoStoreError), closing(_open(store_url)) as store:
        return {p: position.next_offset for p, position in store.positions().items()}
    return {}


def stored_model(store_url: str, fields: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the fields of each session that have a value; a session must have one state only."""
    with closing(_open(store_url)) as store:
        states = list(store.states())
    model = {state["session_id"]: _given(state, fields) for state in states}
    assert len(model) == len(states), "a session is on two partitions"
    return model


def wait_until(reached: Callable[[], bool], what: str, members: Members | None = None) -> None:
    """Wait until a condition holds; fail at once when one of ``members`` has ended by itself."""
    began = time.monotonic()
    while not reached():
        if members is not None:
            members.assert_running()
        assert time.monotonic() < began + PATIENCE_SECONDS, f"waited in vain for {what}"
        time.sleep(0.02)


class _NoStoreError(Exception):
    """Raised when the process that makes the store has not come to it."""


def _open(url: str) -> Any:  # noqa: ANN401 - a store of any kind
    try:
        return open_store(url, read_only=True)
    except StoreUnusableError as error:
        if "no store" in str(error):
            raise _NoStoreError from error
        raise


def _given(state: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    return {name: state[name] for name in fields if state[name] is not None}
