"""Folds a topic with Quix Streams. Prints the seconds it took.

A program of an environment of its own, so it imports nothing of this project. The arguments are
brokers, topic, number of records and folder. Client, state and commits are left at the library's
defaults (at least once, a changelog topic, a commit every 5 s).
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from quixstreams import Application, State  # type: ignore[import-not-found]
from quixstreams.models.serializers.avro import (  # type: ignore[import-not-found]
    AvroDeserializer,
)
from quixstreams.sinks import BatchingSink, SinkBatch  # type: ignore[import-not-found]

_SCHEMA = Path(__file__).parents[2] / "schemas" / "sessionfold_schemas" / "session_updated.avsc"
_HEADER_BYTES = 10
_STALLED_SECONDS = 60.0
_FIELDS = (
    "session_name",
    "task",
    "session_eval",
    "session_eval_reason",
    "is_successful",
    "is_successful_reason",
    "is_finished",
)
_TABLES = """
CREATE TABLE sessions (
    session_id TEXT NOT NULL UNIQUE, session_name TEXT, task TEXT, session_eval REAL,
    session_eval_reason TEXT, is_successful INTEGER, is_successful_reason TEXT, is_finished INTEGER
);
"""
_UPSERT = f"""
INSERT INTO sessions (session_id, {", ".join(_FIELDS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (session_id) DO UPDATE SET {", ".join(f"{each} = excluded.{each}" for each in _FIELDS)}
"""  # noqa: S608 - names of this file


class EventDeserializer(AvroDeserializer):  # type: ignore[misc]
    """Reads the Avro body behind the header of the single-object encoding."""

    def __call__(self, value: bytes, ctx: Any) -> Any:  # noqa: ANN401 - the library's signature
        """Return the event as a dictionary."""
        return super().__call__(value[_HEADER_BYTES:], ctx)


class SqliteSink(BatchingSink):  # type: ignore[misc]
    """Writes the last state of each session that a checkpoint touched, in one transaction."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self._file = file
        self._database: sqlite3.Connection | None = None

    def setup(self) -> None:
        """Open the file and make its table."""
        self._database = sqlite3.connect(self._file, check_same_thread=False)
        self._database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
        self._database.executescript(_TABLES)

    def write(self, batch: SinkBatch) -> None:
        """Write what a checkpoint has for one partition."""
        assert self._database is not None
        last = {item.key: item.value for item in batch}
        rows = [(key, *map(state.get, _FIELDS)) for key, state in last.items()]
        with self._database:
            self._database.executemany(_UPSERT, rows)


def fold(event: dict[str, Any], state: State) -> dict[str, Any]:
    """Merge an event into its session's state, and return that."""
    session: dict[str, Any] = state.get("session", {})
    session.update((name, event[name]) for name in _FIELDS if event[name] is not None)
    state.set("session", session)
    return session


def main() -> None:
    """Fold, then print the seconds."""
    servers, name, count, folder = sys.argv[1:]
    start = time.perf_counter()
    application = Application(
        broker_address=servers,
        consumer_group=f"quix-{uuid.uuid4().hex}",
        auto_offset_reset="earliest",
        state_dir=Path(folder, "state"),
        loglevel="ERROR",
    )
    schema = json.loads(_SCHEMA.read_text())
    topic = application.topic(
        name, key_deserializer="str", value_deserializer=EventDeserializer(schema)
    )
    frame = application.dataframe(topic).apply(fold, stateful=True)
    frame.sink(SqliteSink(Path(folder, "sessions.db")))
    application.run(count=int(count), timeout=_STALLED_SECONDS, collect=False)
    print(time.perf_counter() - start)


if __name__ == "__main__":
    main()
