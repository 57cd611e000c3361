"""A publisher that writes each event to standard output, for tests that run a whole process.

The process runs from the checkout's root and calls :func:`install` before its first session.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from sessionfold import _process
from sessionfold._client import Client
from sessionfold._config import Configuration, load
from sessionfold._publisher import NotTakenError, OnDelivery
from sessionfold.testing import MemoryRecord
from sessionfold_schemas import decode

ROOT = Path(__file__).parents[3]

_PROGRAM = """
import os, sys
import sessionfold as lai
from tests.unit.sdk.line_publisher import LinePublisher, install
install()
"""


class LinePublisher:
    """Writes a JSON line for each event, and one when it is closed; each with the process's ID.

    Attributes:
        refuses: while it is true, no event is taken.
    """

    refuses = False

    def __init__(self, _: Configuration) -> None:
        self._unreported: list[tuple[OnDelivery, MemoryRecord]] = []

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Write one event, unbuffered, unless it is refused."""
        if self.refuses:
            raise NotTakenError("refused")
        _, event = decode(value, key=key)
        _write({name: value for name, value in event.items() if value is not None})
        self._unreported.append((on_delivery, MemoryRecord(key, value)))

    def poll(self, timeout_seconds: float, *, hurry: bool = False) -> None:
        """Report what was written."""
        reports, self._unreported = self._unreported, []
        for on_delivery, record in reports:
            on_delivery(None, record)

    def close(self) -> None:
        """Say so."""
        self.poll(0)
        _write({"closed": True})

    def has_failed(self) -> bool:
        """Say that it has not."""
        return False

    def is_refusal(self, error: object) -> bool:
        """Say that it refuses none."""
        return False


def install(**settings: Any) -> None:  # noqa: ANN401 - see Configuration
    """Make this process's client publish to standard output."""
    settings.setdefault("on_full", "drop")
    _process.configure(lambda: Client(load({}, **settings), LinePublisher))


def run(body: str, *, exit_code: int = 0) -> list[dict[str, Any]]:
    """Run a program in a process of its own and return the lines it wrote.

    Args:
        body: what it does after the publisher is installed.
        exit_code: the one that it must end with.
    """
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", _PROGRAM + body],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == exit_code, ended.stderr
    return [json.loads(line) for line in ended.stdout.splitlines()]


def _write(line: dict[str, Any]) -> None:
    os.write(1, (json.dumps(line | {"pid": os.getpid()}) + "\n").encode())
