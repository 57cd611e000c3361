"""What the benchmark asks of a rival."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol


class Rival(Protocol):
    """A program that folds a topic, and what it takes to run it and to check its answer."""

    @property
    def name(self) -> str:
        """What a report calls it, unique among the rivals."""

    def missing(self) -> str | None:
        """Return None when it can run here, else one sentence: what is missing, how to get it."""

    def prepare(self) -> None:
        """Fetch and build what the program needs; nothing happens when that was done before.

        Raises:
            JavaError: when Maven fails.
            RuntimeError: when pip does.
        """

    def command(self, servers: str, topic: str, count: int, folder: Path) -> list[str]:
        """Return the program to run from the checkout's root, once for each folder.

        It reads the topic from its start until it has folded ``count`` records, and prints as its
        last line the seconds from before its client was made until all was committed.

        Args:
            servers: the broker's address.
            topic: a topic whose keys are session IDs.
            count: how many records the topic has, at least 1.
            folder: an empty one, for all that the program keeps.
        """

    def results(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Yield the state of each session after a run: ``session_id`` and ``FIELDS``."""
