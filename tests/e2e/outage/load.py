"""One worker under load: ``python -m tests.e2e.outage.load NAME RATE FOLDER``.

It makes RATE random calls a second on many sessions, knows for each session what its fields must
come to, and does what it reads on stdin: ``hold`` and ``go`` stop and continue the calls, ``end``
waits until all is delivered and ends. Into FOLDER it writes once a second how many calls it made
and what ``stats()`` says, at the end also its model.

With the RATE 0 it only begins the sessions that the worker of this name is going to resume.
"""

from __future__ import annotations

import json
import random
import select
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sessionfold as lai

EARLIER_SESSIONS = 30
"""Begun by an earlier process, and resumed here."""

FLUSH_SECONDS = 100.0

_MOST_OPEN = 60
_END_SHARE = 0.01
_TICK_SECONDS = 0.01
_MOST_A_TICK = 50
"""So that a worker which had no processor for a while does not fill its queue at one go then."""

_READING_SECONDS = 1.0
_HELD_READING_SECONDS = 0.1

Model = dict[str, dict[str, Any]]


class Load:
    """Makes calls, and keeps what each session's fields must come to."""

    def __init__(self, name: str) -> None:
        self.calls = 0
        self.model: Model = {}
        self._name = name
        self._chance = random.Random(name)
        self._open: list[str] = []
        self._ended: list[str] = []
        self._earlier = [f"{name}/earlier-{number}" for number in range(EARLIER_SESSIONS)]

    def begin_earlier(self) -> None:
        """Begin the sessions that another process is to resume."""
        for session_id in self._earlier:
            self._begin(session_id, task="begun earlier", session_name=self._name)

    def know_earlier(self) -> None:
        """Go on from what :meth:`begin_earlier` has left."""
        begun = {"task": "begun earlier", "session_name": self._name, "is_finished": False}
        self.model |= {session_id: dict(begun) for session_id in self._earlier}

    def call(self) -> None:
        """Make one random call: mostly updates, now and then a begin or an end."""
        if len(self._open) < _MOST_OPEN:
            self._begin_some()
        elif self._chance.random() < _END_SHARE:
            self._end()
        else:
            session_id = self._chance.choice(self._open)
            given = self._fields()
            lai.update_session(session_id=session_id, **given)
            self._made(session_id, given)

    def _begin_some(self) -> None:
        if self._earlier:
            self._begin(self._earlier.pop())
        elif self._ended and self._chance.random() < 0.3:
            self._begin(self._ended.pop(self._chance.randrange(len(self._ended))))
        else:
            self._begin(None, session_name=f"session {self.calls}")

    def _begin(self, session_id: str | None, **given: str) -> None:
        begun = lai.init(session_id=session_id, auto_end=False, **given)  # type: ignore[arg-type]
        lai.clear_active_session()
        self._open.append(begun)
        self._made(begun, given | {"is_finished": False})

    def _end(self) -> None:
        session_id = self._open.pop(self._chance.randrange(len(self._open)))
        given = self._fields()
        given.pop("task", None)
        lai.end_session(session_id=session_id, **given)
        self._ended.append(session_id)
        self._made(session_id, given | {"is_finished": True})

    def _fields(self) -> dict[str, Any]:
        number, chance = self.calls, self._chance
        values: dict[str, Any] = {
            "task": f"{self._name} task {number}",
            "session_eval": float(number),
            "session_eval_reason": f"{number}",
            "is_successful": chance.random() < 0.5,
            "is_successful_reason": f"reason {number}",
        }
        return {name: values[name] for name in chance.sample(list(values), chance.randint(1, 3))}

    def _made(self, session_id: str, given: dict[str, Any]) -> None:
        self.model.setdefault(session_id, {}).update(given)
        self.calls += 1


class Run:
    """Drives a load by the clock and by what comes from stdin."""

    def __init__(self, load: Load, rate: int, path: Path) -> None:
        self._load = load
        self._rate = rate
        self._readings = path.open("a", buffering=1)
        self._read_at = 0.0

    def run(self) -> None:
        """Make the calls that are due, until told to end."""
        due, holds, before = 0.0, False, time.monotonic()
        while (word := _word(_TICK_SECONDS)) != "end":
            holds = {"hold": True, "go": False}.get(word, holds)
            now = time.monotonic()
            due += 0.0 if holds else self._rate * (now - before)
            before = now
            made = min(int(due), _MOST_A_TICK)
            for _ in range(made):
                self._load.call()
            due -= made
            self._read(_HELD_READING_SECONDS if holds else _READING_SECONDS, holds=holds)

    def _read(self, every_seconds: float, *, holds: bool) -> None:
        if time.monotonic() < self._read_at:
            return
        self._read_at = time.monotonic() + every_seconds
        reading = {"calls": self._load.calls, "holds": holds, **asdict(lai.stats())}
        self._readings.write(json.dumps(reading) + "\n")


def _word(timeout_seconds: float) -> str:
    """Return the next word from stdin; an empty one when none comes in time."""
    if select.select([sys.stdin], [], [], timeout_seconds)[0]:
        return sys.stdin.readline().strip() or "end"
    return ""


def _finish(load: Load, write: Callable[[str], object]) -> None:
    flushed = lai.flush(FLUSH_SECONDS)
    result = {"flushed": flushed, "calls": load.calls, "stats": asdict(lai.stats())}
    write(json.dumps(result | {"model": load.model}))
    lai.shutdown()


def main(name: str, rate: int, folder: Path) -> None:
    """Be a worker, or the one before it."""
    load = Load(name)
    if not rate:
        load.begin_earlier()
        assert lai.flush(FLUSH_SECONDS)
        return
    load.know_earlier()
    Run(load, rate, folder / f"{name}.readings").run()
    _finish(load, (folder / f"{name}.result").write_text)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))
