"""The plain loop: what most would write, in Python."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .answers import sqlite_states


class PlainRival:
    """``poll()``, fastavro, and SQLite in transactions of 1,000 records.

    Args:
        is_batched: merge the records of a transaction in a dictionary, and upsert each session
            once; otherwise each record is upserted.
    """

    def __init__(self, *, is_batched: bool) -> None:
        self._how = "batched" if is_batched else "each"
        self.name = "plain, batched" if is_batched else "plain"

    def missing(self) -> str | None:
        """Nothing is: it needs what the project needs."""
        return None

    def prepare(self) -> None:
        """Nothing is to be fetched or built."""

    def command(self, servers: str, topic: str, count: int, folder: Path) -> list[str]:
        """Return the program; it keeps ``sessions.db`` in the folder."""
        module = "benchmarks.rivals.plain_fold"
        arguments = [servers, topic, str(count), str(folder), self._how]
        return [sys.executable, "-m", module, *arguments]

    def results(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Yield what the file has."""
        return sqlite_states(folder / "sessions.db")
