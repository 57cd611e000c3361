"""Starts and stops workers, and reads what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).parents[3]
TIMEOUT_SECONDS = 180.0

Reading = dict[str, Any]
"""Calls that a worker has made, and its ``stats()`` at that moment."""


class Fleet:
    """Workers under one load. A context manager: whoever still runs at its end is killed.

    Args:
        names: what they are called.
        settings: of the SDK, by the names of its environment variables in lower case.
        folder: where they write to; the spool is in there, too.
    """

    def __init__(self, names: Sequence[str], folder: Path, **settings: object) -> None:
        self.spool = folder / "spool"
        self._names = names
        self._folder = folder
        self._environment = environment(spool_directory=self.spool, **settings)
        self._processes: list[subprocess.Popen[str]] = []

    def __enter__(self) -> Self:
        """Return the fleet, not started."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill whoever still runs."""
        for process in self._processes:
            process.kill()
            process.communicate()

    def begin_earlier(self) -> None:
        """Let earlier processes begin the sessions that the workers resume."""
        for earlier in [self._start(name, 0) for name in self._names]:
            assert earlier.wait(TIMEOUT_SECONDS) == 0
            earlier.communicate()
            self._processes.remove(earlier)

    def start(self, rate: int) -> None:
        """Start the workers; together they make ``rate`` calls a second."""
        for name in self._names:
            self._start(name, rate // len(self._names))
        self._wait_until(lambda: all(map(self.readings, self._names)))

    def tell(self, word: str) -> None:
        """Say a word to each of them."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(word + "\n")
            process.stdin.flush()

    def hold(self) -> list[Reading]:
        """Stop the calls and return the readings when nothing moves between memory and disk."""
        self.tell("hold")
        last: list[list[Reading]] = []
        self._wait_until(lambda: _is_still(last, [self.readings(name) for name in self._names]))
        return last[-1]

    def end(self) -> dict[str, dict[str, Any]]:
        """Let them deliver what waits and end; return each one's result."""
        self.tell("end")
        for process in self._processes:
            assert process.wait(TIMEOUT_SECONDS) == 0
        results = {name: self._folder / f"{name}.result" for name in self._names}
        return {name: json.loads(path.read_text()) for name, path in results.items()}

    def readings(self, name: str) -> list[Reading]:
        """Return what a worker has written so far, oldest first."""
        path = self._folder / f"{name}.readings"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [json.loads(line) for line in lines]

    def all_readings(self) -> list[Reading]:
        """Return what all workers have written."""
        return [reading for name in self._names for reading in self.readings(name)]

    def _start(self, name: str, rate: int) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.outage.load", name, str(rate), str(self._folder)],
            cwd=ROOT,
            env=self._environment,
            stdin=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        return process

    def _wait_until(self, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not reached():
            assert time.monotonic() < deadline, "the workers do not get there"
            assert all(process.poll() is None for process in self._processes), "a worker has ended"
            time.sleep(0.1)


def environment(**settings: object) -> dict[str, str]:
    """Return this process's environment with these settings of the SDK, and no others."""
    own: Mapping[str, str] = {
        name: value for name, value in os.environ.items() if not name.startswith("SESSIONFOLD_")
    }
    given = {f"SESSIONFOLD_{name.upper()}": str(value) for name, value in settings.items()}
    return {**own, **given}


def _is_still(last: list[list[Reading]], readings: list[list[Reading]]) -> bool:
    """Say whether the last three readings of each are the same, and keep the newest in ``last``."""
    last.append([each[-1] for each in readings])
    return all(
        each[-1]["holds"] and len(each) > 2 and each[-1] == each[-2] == each[-3]
        for each in readings
    )
