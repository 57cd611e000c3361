"""Owners that are killed and followed by others; and what must hold of log and disk then."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

from sessionfold_schemas import decode
from tests.e2e.outage.fleet import ROOT, environment
from tests.e2e.outage.log import Event, journals
from tests.e2e.outage.owner import FIELDS

Numbers = dict[tuple[str, str], list[int]]
"""For each session and field the numbers that it was given, in some order."""


class Owners:
    """Some processes that own all sessions, each by one of them. A context manager.

    Args:
        sessions: for each process the sessions that it owns at first.
        folder: where they note their calls; the spool that they share is in there, too.
        settings: of the SDK, by the names of its environment variables in lower case.
    """

    def __init__(
        self,
        sessions: Sequence[Sequence[str]],
        folder: Path,
        chance: random.Random,
        **settings: object,
    ) -> None:
        self.spool = folder / "spool"
        self.kills = 0
        self._folder = folder
        self._chance = chance
        self._settings = {"spool_directory": self.spool, **settings}
        self._generation = 0
        self._running: list[tuple[subprocess.Popen[bytes], list[str]]] = []
        self._free = [list(each) for each in sessions]

    def __enter__(self) -> Owners:
        """Start them."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Kill them."""
        self.kill(len(self._running))

    @property
    def alive(self) -> int:
        """How many of them there are."""
        return len(self._running)

    def kill(self, count: int) -> None:
        """Kill some of them at once; their sessions are shuffled among their successors."""
        self._chance.shuffle(self._running)
        killed, self._running = self._running[:count], self._running[count:]
        for process, _ in killed:
            assert process.poll() is None, "an owner has ended by itself"
            process.kill()
        for process, _ in killed:
            process.wait()
        self.kills += len(killed)
        sessions = [session_id for _, owned in killed for session_id in owned]
        self._chance.shuffle(sessions)
        self._free += [sessions[place :: len(killed)] for place in range(len(killed))]

    def start(self) -> None:
        """Start successors for those that were killed."""
        for sessions in self._free:
            self._generation += 1
            process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tests.e2e.outage.owner"),
                    *(str(self._generation), str(self._folder), *sessions),
                ],
                cwd=ROOT,
                env=environment(
                    **self._settings,
                    queue_events=self._chance.choice([60, 200, 2_000]),
                    delivery_timeout_seconds=self._chance.choice([1, 900]),
                ),
            )
            self._running.append((process, sessions))
        self._free = []

    def called(self) -> Numbers:
        """Return what the owners were about to publish, up to now."""
        return _collected(call for path in self._folder.glob("*.calls") for call in _calls(path))

    def safe(self) -> dict[tuple[str, str], int]:
        """Return the number that each field has come to at least, by what the owners have seen.

        Of an owner that had dropped some updates, as many of the newest may be those.
        """
        least: dict[tuple[str, str], int] = {}
        for path in self._folder.glob("*.calls"):
            number, dropped = _last_mark(path.with_suffix(".marks"))
            for key, numbers in _collected(_calls(path, most=number)).items():
                if len(numbers) > dropped:
                    least[key] = max(least.get(key, -1), sorted(numbers)[-1 - dropped])
        return least


def numbers_in(found: Iterable[Event]) -> Numbers:
    """Return the numbers in some events, in their order."""
    return _collected(
        (int(float(event[name])), event["session_id"], name)
        for event in found
        for name in FIELDS
        if event[name] is not None
    )


def waiting_numbers(spool: Path) -> Numbers:
    """Return the numbers that wait in a spool; each of its files can be read to its end.

    Nothing in them is damaged, but that the last record of a file may not be whole.
    """
    found: list[Event] = []
    for journal in journals(spool):
        assert journal.damaged_spans <= 1
        while entries := journal.read(10_000, 1 << 24):
            found += [decode(each.value, key=each.key)[1] for each in entries]
        assert journal.damaged_spans <= 1
        assert journal.lost_calls == 0
    return numbers_in(found)


def wait_until_empty(spool: Path, seconds: float) -> None:
    """Wait until no file with events is left in a spool."""
    deadline = time.monotonic() + seconds
    while left := [name for name in os.listdir(spool) if name.endswith(".spool")]:  # noqa: PTH208
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def _collected(calls: Iterable[tuple[int, str, str]]) -> Numbers:
    numbers: Numbers = defaultdict(list)
    for number, session_id, field in calls:
        numbers[session_id, field].append(number)
    return dict(numbers)


def _calls(path: Path, most: int | None = None) -> Iterable[tuple[int, str, str]]:
    for line in path.read_text().splitlines():
        number, session_id, *names = line.split()
        if most is None or int(number) <= most:
            yield from ((int(number), session_id, name) for name in names)


def _last_mark(path: Path) -> tuple[int, int]:
    marks = path.read_text().splitlines() if path.exists() else []
    number, dropped = map(int, marks[-1].split()) if marks else (-1, 0)
    return number, dropped
