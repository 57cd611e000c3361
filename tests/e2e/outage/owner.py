"""The owner of some sessions until it is killed.

Run as ``python -m tests.e2e.outage.owner GENERATION FOLDER SESSION...``. Every update has a number;
the numbers of a generation are above those of all before it. Before each call it notes its number,
session and fields in ``GENERATION.calls``; whenever nothing of it is in memory any more, the last
number, and how many updates were dropped so far, in ``GENERATION.marks``: all up to there but these
is delivered or on disk. What is written survives SIGKILL.
"""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sessionfold as lai

NUMBERS_EACH = 1_000_000
FIELDS: dict[str, type] = {
    "task": str,
    "session_eval": float,
    "session_eval_reason": str,
    "is_successful_reason": str,
}
"""The fields that carry a number, and as what."""

_MOST_AT_ONCE = 50
_LONGEST_PAUSE_SECONDS = 0.2


class Owner:
    """Makes numbered updates of its sessions."""

    def __init__(self, generation: int, folder: Path, sessions: Sequence[str]) -> None:
        self._sessions = sessions
        self._chance = random.Random(generation)
        self._number = generation * NUMBERS_EACH
        self._calls = _appended(folder / f"{generation}.calls")
        self._marks = _appended(folder / f"{generation}.marks")

    def begin(self) -> None:
        """Resume the sessions."""
        for session_id in self._sessions:
            lai.init(session_id=session_id, auto_end=False)

    def work(self) -> None:
        """Make some calls, and note when none of them is in memory any more."""
        for _ in range(self._chance.randint(1, _MOST_AT_ONCE)):
            self._update()
        time.sleep(self._chance.uniform(0, _LONGEST_PAUSE_SECONDS))
        stats = lai.stats()
        if stats.in_flight == 0:
            os.write(self._marks, b"%d %d\n" % (self._number, stats.dropped))

    def _update(self) -> None:
        self._number += 1
        session_id = self._chance.choice(self._sessions)
        names = self._chance.sample(list(FIELDS), self._chance.randint(1, 2))
        os.write(self._calls, f"{self._number} {session_id} {' '.join(names)}\n".encode())
        given: dict[str, Any] = {name: FIELDS[name](self._number) for name in names}
        lai.update_session(session_id=session_id, **given)


def _appended(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def main(generation: int, folder: Path, sessions: Sequence[str]) -> None:
    """Own the sessions for the rest of its life."""
    owner = Owner(generation, folder, sessions)
    owner.begin()
    while True:
        owner.work()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
