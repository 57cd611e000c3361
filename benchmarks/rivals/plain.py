"""The plain loop: what most would write, in Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .answers import sqlite_states


class PlainRival:
    """``poll()``, fastavro, a dictionary, and SQLite in transactions of 1,000 records."""

    name = "plain"

    def missing(self) -> str | None:
        """Nothing is: it needs what the project needs."""
        return None

    def prepare(self) -> None:
        """Nothing is to be fetched or built."""

    def command(self, servers: str, topic: str, count: int, folder: Path) -> list[str]:
        """Return the program; it keeps ``sessions.db`` in the folder."""
        module = "benchmarks.rivals.plain_fold"
        return [sys.executable, "-m", module, servers, topic, str(count), str(folder)]

    def results(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Yield what the file has."""
        return sqlite_states(folder / "sessions.db")
