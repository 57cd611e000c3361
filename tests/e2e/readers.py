"""Readers that ask a store all the time, and expect that it is never behind what they have seen.

What people may see at one moment is the fold of a prefix of the log. A mixture of two generations
is none: the events that the sessions of a partition count would not be all up to its last offset.
(So it is where each record of the topic is a valid event.)
"""

from __future__ import annotations

import random
import sqlite3
import threading
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterable
from contextlib import AbstractContextManager, closing
from typing import Any, NamedTuple, Self

from sessionfold_consumer.store import Selection, is_postgres, open_store, sqlite_path
from tests.services.postgres_databases import connect

QUERY = "SELECT session_id, partition, event_count, last_offset FROM {schema}sessions"

_PAUSE_SECONDS = 0.01
"""Between two reads: without it readers would take the processor from those whom they watch."""
_STOP_SECONDS = 60.0
_FEW = 20

Key = tuple[str, int]


class Seen(NamedTuple):
    """What was read of one session in one partition."""

    event_count: int
    last_offset: int


class Sight:
    """What a reader has seen so far: everything that it sees later has to be at least that."""

    def __init__(self) -> None:
        self.sessions: dict[Key, Seen] = {}

    def take_all(self, rows: Iterable[tuple[str, int, int, int]]) -> None:
        """Take what one statement has said of all sessions."""
        rows = list(rows)
        found = {(row[0], row[1]): Seen(*row[2:]) for row in rows}
        assert len(found) == len(rows), "a session is there twice"
        gone = self.sessions.keys() - found.keys()
        assert not gone, f"{len(gone)} sessions are gone, one of them is {min(gone)}"
        for key, seen in found.items():
            self._take(key, seen)
        assert_whole(found)

    def take_some(self, states: Iterable[dict[str, Any]]) -> None:
        """Take some states."""
        for state in states:
            key = state["session_id"], state["partition"]
            self._take(key, Seen(state["event_count"], state["last_offset"]))

    def _take(self, key: Key, seen: Seen) -> None:
        before = self.sessions.get(key, seen)
        assert seen.event_count >= before.event_count, f"{key} went back: {before}, then {seen}"
        assert seen.last_offset >= before.last_offset, f"{key} went back: {before}, then {seen}"
        self.sessions[key] = seen


def assert_whole(found: dict[Key, Seen]) -> None:
    """Expect the events of each partition, from its first to its last offset, each once."""
    events: dict[int, int] = defaultdict(int)
    last: dict[int, int] = defaultdict(int)
    for (_, partition), seen in found.items():
        events[partition] += seen.event_count
        last[partition] = max(last[partition], seen.last_offset)
    mixed = {p: (events[p], last[p] + 1) for p in events if events[p] != last[p] + 1}
    assert not mixed, f"events counted, and events up to the last offset: {mixed}"


class Reader(ABC, threading.Thread):
    """Reads all the time until it is stopped; ``reads`` says how often it did.

    Args:
        url: the store.
    """

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._is_stopped = threading.Event()
        self._error: BaseException | None = None
        self.reads = 0
        self.sight = Sight()

    def run(self) -> None:
        """Read."""
        try:
            while not self._is_stopped.is_set():
                self.read()
                self.reads += 1
                self._is_stopped.wait(_PAUSE_SECONDS)
        except BaseException as error:  # noqa: BLE001 - it is raised by who asks
            self._error = error

    @abstractmethod
    def read(self) -> None:
        """Read once, and compare with what was read before."""

    def check(self) -> None:
        """Raise what went wrong."""
        if self._error is not None:
            raise AssertionError(f"{type(self).__name__}: {self._error!r}") from self._error

    def stop(self) -> None:
        """End it, and raise what went wrong."""
        self._is_stopped.set()
        self.join(_STOP_SECONDS)
        assert not self.is_alive(), "a reader waits for an answer"
        self.check()


class ViewReader(Reader):
    """Asks the view ``sessions`` with one statement, by one connection, as a dashboard does."""

    def run(self) -> None:
        """Read, by one connection."""
        with _connection(self._url) as self._connection:
            super().run()

    def read(self) -> None:
        """Read all sessions."""
        schema = "sessionfold." if is_postgres(self._url) else ""
        self.sight.take_all(self._connection.execute(QUERY.format(schema=schema)).fetchall())


class ShowReader(Reader):
    """Asks as ``sessionfold list`` and ``sessionfold show`` do: each time by a store of its own."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._chance = random.Random(url)

    def read(self) -> None:
        """Read the newest sessions, and some others."""
        with closing(open_store(self._url, read_only=True)) as store:
            self.sight.take_some(store.select(Selection(limit=_FEW)))
            known = sorted({session_id for session_id, _ in self.sight.sessions})
            for session_id in self._chance.sample(known, min(_FEW, len(known))):
                states = store.get(session_id)
                assert states, f"{session_id} is gone"
                self.sight.take_some(states)


class Readers:
    """Some readers of each kind. A context manager: all of them have been right until its end."""

    def __init__(self, url: str) -> None:
        self._readers = [ViewReader(url), ShowReader(url)]

    def __enter__(self) -> Self:
        """Start them."""
        for reader in self._readers:
            reader.start()
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Stop them; raise what went wrong, unless something has already."""
        for reader in self._readers:
            if kind is None:
                reader.stop()
                assert reader.reads, "a reader has read nothing"

    def check(self) -> None:
        """Raise what went wrong so far."""
        for reader in self._readers:
            reader.check()


def _connection(url: str) -> AbstractContextManager[Any]:
    if is_postgres(url):
        connection = connect(url)
        connection.autocommit = True
        return connection
    uri = f"{sqlite_path(url).absolute().as_uri()}?mode=ro"
    return closing(sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False))
