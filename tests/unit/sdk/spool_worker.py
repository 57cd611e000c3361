"""A process with a spool, told what to do by lines on stdin; run by the tests of the spool.

Usage: python -m tests.unit.sdk.spool_worker DIRECTORY

Each command is answered by one line of JSON. A forked child answers on the same stdout.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from sessionfold._spooling.journal import Entry, Journal
from sessionfold._spooling.spool import Destination, Spool, SpoolUnavailableError

DESTINATION = Destination(topic="events", bootstrap_servers="one:9092")


class Worker:
    """Does what it is told, and keeps what it has."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._journals: dict[str, Journal] = {}
        self._spool = self._new_spool()

    def create(self) -> str:
        """Make a file with one event, named after the file in it."""
        journal = self._spool.create()
        journal.append([Entry(0, 1, b"session", journal.path.name.encode())])
        self._journals[journal.path.name] = journal
        return journal.path.name

    def claim(self) -> list[str]:
        """Take over what nobody owns; each must hold what its maker has written."""
        claimed = self._spool.claim_orphans()
        for journal in claimed:
            self._journals[journal.path.name] = journal
            [entry] = journal.read(9, 1000)
            assert entry.value.decode() == journal.path.name
        return sorted(journal.path.name for journal in claimed)

    def finish(self) -> int:
        """Delete what it has, as after delivery."""
        count = len(self._journals)
        for journal in self._journals.values():
            journal.mark(0)
            journal.remove()
            self._spool.release(journal)
        self._journals.clear()
        return count

    def close(self) -> None:
        """Leave everything to others."""
        self._spool.close()
        self._journals.clear()

    def fork(self, *, then: str) -> int:
        """Fork; the child does one of several things with what it has inherited."""
        child = os.fork()
        if child:
            return child
        if then == "linger":
            time.sleep(600)
        self._spool.abandon()
        if then == "claim":
            answer(self._new_spool().claim_orphans() == [])
        os._exit(0)

    def start(self) -> int:
        """Start a program that outlives this one."""
        return subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL).pid

    def wait(self, child: int) -> int:
        """Wait for a child; return its status."""
        return os.waitpid(child, 0)[1]

    def claim_until(self, count: int) -> list[str]:
        """Claim again and again, deleting what it gets, until that many lines are in a file."""
        mine: list[str] = []
        done = self._directory.parent / "done"
        while done.stat().st_size < count:
            claimed = self.claim()
            mine += claimed
            self.finish()
            with done.open("ab") as file:
                file.write(b"." * len(claimed))
        return mine

    def _new_spool(self) -> Spool:
        return Spool(self._directory, DESTINATION, f"producer-{os.getpid()}")


def answer(value: object) -> None:
    """Write one line in one piece."""
    os.write(1, json.dumps(value).encode() + b"\n")


def main() -> None:
    """Obey until stdin ends."""
    worker = Worker(Path(sys.argv[1]))
    for line in sys.stdin:
        command, arguments = json.loads(line)
        try:
            answer(getattr(worker, command)(**arguments))
        except SpoolUnavailableError as error:
            answer(str(error))


if __name__ == "__main__":
    main()
