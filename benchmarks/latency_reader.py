"""Sees probes arrive in a store: by one query for all that are on their way, again and again."""

from __future__ import annotations

import json
import os
import select
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import IO

from benchmarks.latency_worker import Account, Probe
from sessionfold_consumer.store import is_postgres
from tests.services.postgres import connect

Look = Callable[[Sequence[str]], list[tuple[str, float | None]]]
"""Returns the ``session_eval`` of those of these sessions that a store has."""

POLL_SECONDS = 0.002
"""Between two looks. What is seen was there for as long at most, and a look's own time."""

_READ_BYTES = 65_536
_PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Arrival:
    """A probe, and when its value was first seen."""

    probe: Probe
    seen_ns: int

    @property
    def milliseconds(self) -> float:
        """From the return of ``update_session`` to the row being visible."""
        return (self.seen_ns - self.probe.returned_ns) / 1e6


class Watch:
    """The probes that are on their way. Pure.

    A value that a later probe of its session has replaced was seen with that one: the state is the
    fold of a prefix of the log.
    """

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self._waiting: dict[str, list[Probe]] = {}

    def add(self, probe: Probe) -> None:
        """Wait for one more."""
        self._waiting.setdefault(probe.session_id, []).append(probe)

    @property
    def sessions(self) -> list[str]:
        """The sessions that are to be looked at."""
        return list(self._waiting)

    def saw(self, values: Sequence[tuple[str, float | None]], now_ns: int) -> None:
        """Take what a store has, by a look that ended at ``now_ns``."""
        for session_id, value in values:
            if value is None:
                continue
            probes = self._waiting.pop(session_id)
            self.arrivals += [Arrival(each, now_ns) for each in probes if each.value <= value]
            later = [each for each in probes if each.value > value]
            if later:
                self._waiting[session_id] = later


@contextmanager
def looking(store: str) -> Iterator[Look]:
    """Yield what looks into a store over a connection of its own, as people do: at the view."""
    with _looking_at_postgres(store) if is_postgres(store) else _looking_at_file(store) as look:
        yield look


def follow(lines: IO[bytes], look: Look) -> tuple[list[Arrival], Account]:
    """Look for the probes that a worker tells of, until it has ended and all are seen.

    Raises:
        RuntimeError: when one is not seen for a minute after the worker's end, or the worker ended
            without its account.
    """
    watch, told = Watch(), _Lines(lines)
    deadline = None
    while not told.has_ended or watch.sessions:
        for probe in told.probes():
            watch.add(probe)
        if watch.sessions:
            watch.saw(look(watch.sessions), time.monotonic_ns())
        if told.has_ended:
            deadline = deadline or time.monotonic() + _PATIENCE_SECONDS
            if time.monotonic() > deadline:
                raise RuntimeError(f"not seen in the store: probes of {watch.sessions[:3]}")
        time.sleep(POLL_SECONDS)
    if told.account is None:
        raise RuntimeError("the worker ended without its account")
    return watch.arrivals, told.account


class _Lines:
    """What a worker prints, without waiting for it."""

    def __init__(self, lines: IO[bytes]) -> None:
        self._file = lines.fileno()
        self._begun = b""
        self.has_ended = False
        self.account: Account | None = None

    def probes(self) -> Iterator[Probe]:
        """Yield the probes that were told since the last call."""
        while not self.has_ended and select.select([self._file], [], [], 0)[0]:
            read = os.read(self._file, _READ_BYTES)
            self.has_ended = not read
            *whole, self._begun = (self._begun + read).split(b"\n")
            for line in map(bytes.decode, whole):
                if line.startswith("{"):
                    self.account = Account(**json.loads(line))
                else:
                    yield Probe.read(line)


@contextmanager
def _looking_at_file(store: str) -> Iterator[Look]:
    path = store.removeprefix("sqlite:///")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as file:

        def look(sessions: Sequence[str]) -> list[tuple[str, float | None]]:
            places = ", ".join("?" * len(sessions))
            query = f"SELECT session_id, session_eval FROM sessions WHERE session_id IN ({places})"  # noqa: S608
            return file.execute(query, sessions).fetchall()

        yield look


@contextmanager
def _looking_at_postgres(store: str) -> Iterator[Look]:
    query = "SELECT session_id, session_eval FROM sessionfold.sessions WHERE session_id = ANY(%s)"
    with connect(store) as connection:
        connection.autocommit = True

        def look(sessions: Sequence[str]) -> list[tuple[str, float | None]]:
            return connection.execute(query, [list(sessions)], prepare=True).fetchall()

        yield look
