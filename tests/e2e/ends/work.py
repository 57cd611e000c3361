"""What a worker does before its end, and how it and the harness tell each other where they are.

Everything goes through the cell's folder. A phase is over when its file is there. Each call that
has returned is one byte in a file of its role, so the count is exact, also after SIGKILL.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import sessionfold as lai

ROLES = ("parent", "child", "thread", "next")
"""Who makes calls in a cell; ``next`` is the process that comes when the others are gone."""

NUMBERS_EACH = 1_000_000
"""The calls of a role are numbered from its place in ``ROLES`` times this."""

SESSIONS = 8
"""Sessions that a role updates in turn; it begins the first one only."""

MOST_WAITING_SHARE = 0.8
"""Of the queue. From 7/8 on updates of one session may be joined: then numbers would be missing."""

_LOOK_SECONDS = 0.01
_LONGEST_WAIT_SECONDS = 60.0
_CALLS_BETWEEN_LOOKS = 20


class Worker:
    """One role of a cell: makes numbered calls and counts those that returned.

    Args:
        role: one of ``ROLES``.
    """

    def __init__(self, role: str = "parent") -> None:
        self.role = role
        self._folder = Path(os.environ["ENDS_FOLDER"])
        self._cell = os.environ["ENDS_CELL"]
        self._number = 0
        self._begun = 0
        (self._folder / f"pid.{role}").write_text(str(os.getpid()))
        self._returned = os.open(
            self._folder / f"returned.{role}", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600
        )

    def run(self) -> None:
        """Make the calls that the state asks for, up to the moment before the end.

        The first role of a cell meets a broker that is well; those that come after the state has
        begun never hear of it.
        """
        if self._has("go"):
            self.begin()
        else:
            self.prepare()
            self.wait("go")
        self.fill()

    def prepare(self) -> None:
        """Begin a session and know that the broker has it."""
        self.begin()
        if not lai.flush(_LONGEST_WAIT_SECONDS):
            raise RuntimeError("the broker did not take the first events")
        self.tell("ready")

    def begin(self) -> None:
        """Begin a session that nobody ends, and make the first call."""
        lai.init(session_id=self._session(0), session_name=self._cell)
        self._begun += 1
        self.call()

    def fill(self) -> None:
        """Make the calls; then either all of it is delivered, or it waits."""
        for _ in range(int(os.environ["ENDS_CALLS"])):
            if not self._number % _CALLS_BETWEEN_LOOKS:
                self.wait_for_room()
            self.call()
        if os.environ["ENDS_FLUSHES"] == "1" and not lai.flush(_LONGEST_WAIT_SECONDS):
            raise RuntimeError("the broker did not take all events")
        self.told()

    def told(self) -> None:
        """Write the accounts as they are now, and that the calls are made."""
        books = asdict(lai.stats()) | {"begun": self._begun}
        (self._folder / f"books.{self.role}").write_text(json.dumps(books))
        self.tell(f"filled.{self.role}")

    def call(self) -> None:
        """Make the next call, in one of this process's sessions, and count it when it returned."""
        session_id = self._session(self._number % SESSIONS)
        lai.update_session(session_eval=self._next(), session_id=session_id)
        self._count()

    def call_in_current_session(self) -> None:
        """Make another call where this process is, whoever began that session."""
        lai.update_session(session_eval=self._next())
        self._count()

    def wait_for_room(self) -> None:
        """Let the SDK's thread keep up, as far as it can."""
        most = MOST_WAITING_SHARE * int(os.environ["SESSIONFOLD_QUEUE_EVENTS"])
        deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        while lai.stats().in_flight > most:
            if time.monotonic() > deadline:
                raise RuntimeError("the queue stays full")
            time.sleep(0.001)

    def tell(self, phase: str) -> None:
        """Say that this process has reached ``phase``."""
        (self._folder / phase).touch()

    def wait(self, phase: str) -> None:
        """Wait until the harness, or another process of the cell, says ``phase``."""
        deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
        while not self._has(phase):
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody said {phase}")
            time.sleep(_LOOK_SECONDS)

    def _next(self) -> int:
        return ROLES.index(self.role) * NUMBERS_EACH + self._number

    def _count(self) -> None:
        os.write(self._returned, b".")
        self._number += 1

    def _has(self, phase: str) -> bool:
        return (self._folder / phase).exists()

    def _session(self, number: int) -> str:
        return f"{self._cell}/{self.role}/{number}"
