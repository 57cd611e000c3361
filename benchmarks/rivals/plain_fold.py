"""Folds a topic as most would write it. Prints the seconds it took.

The arguments are brokers, topic, number of records, folder and ``each`` or ``batched``. Records are
polled one by one and decoded by fastavro; each is upserted, or those of a transaction are merged in
a dictionary first. A transaction has 1,000 records and their positions.
"""

from __future__ import annotations

import io
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import fastavro
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

import sessionfold_schemas as contract

from .answers import FIELDS

_RECORDS_A_TRANSACTION = 1_000
_STALLED_SECONDS = 60.0
_SCHEMA = fastavro.parse_schema(dict(contract.current().avro_schema))
_TABLES = """
CREATE TABLE sessions (
    session_id TEXT NOT NULL UNIQUE, session_name TEXT, task TEXT, session_eval REAL,
    session_eval_reason TEXT, is_successful INTEGER, is_successful_reason TEXT, is_finished INTEGER
);
CREATE TABLE positions (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
"""
_UPSERT = f"""
INSERT INTO sessions (session_id, {", ".join(FIELDS)}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (session_id) DO UPDATE SET
    {", ".join(f"{each} = COALESCE(excluded.{each}, {each})" for each in FIELDS)}
"""  # noqa: S608 - names of this file
_POSITION = """
INSERT INTO positions VALUES (?, ?)
ON CONFLICT (partition) DO UPDATE SET next_offset = excluded.next_offset
"""


class Fold:
    """The touched sessions and positions since the last transaction."""

    def __init__(self, file: Path, *, is_batched: bool) -> None:
        self._is_batched = is_batched
        self._database = sqlite3.connect(file)
        self._database.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;")
        self._database.executescript(_TABLES)
        self._sessions: dict[str, dict[str, Any]] = {}
        self._positions: dict[int | None, int] = {}

    def apply(self, message: Message) -> None:
        """Merge one record."""
        body = io.BytesIO((message.value() or b"")[contract.HEADER_BYTES :])
        event: Any = fastavro.schemaless_reader(body, _SCHEMA, None)
        self._positions[message.partition()] = (message.offset() or 0) + 1
        if not self._is_batched:
            self._database.execute(_UPSERT, [event["session_id"], *map(event.get, FIELDS)])
            return
        state = self._sessions.setdefault(event["session_id"], dict.fromkeys(FIELDS))
        for name in FIELDS:
            if event[name] is not None:
                state[name] = event[name]

    def commit(self) -> None:
        """Write what was merged, in one transaction."""
        rows = [(session_id, *state.values()) for session_id, state in self._sessions.items()]
        with self._database:
            self._database.executemany(_UPSERT, rows)
            self._database.executemany(_POSITION, self._positions.items())
        self._sessions.clear()
        self._positions.clear()

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def main() -> None:
    """Fold, then print the seconds."""
    servers, topic, count, folder, how = sys.argv[1:]
    start = time.perf_counter()
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "plain", "enable.auto.commit": False}
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])
    fold = Fold(Path(folder, "sessions.db"), is_batched=how == "batched")
    for number in range(1, int(count) + 1):
        fold.apply(_next(consumer))
        if number % _RECORDS_A_TRANSACTION == 0:
            fold.commit()
    fold.commit()
    seconds = time.perf_counter() - start
    fold.close()
    consumer.close()
    print(seconds)


def _next(consumer: Consumer) -> Message:
    message = consumer.poll(_STALLED_SECONDS)
    if message is None:
        raise RuntimeError(f"no record came for {_STALLED_SECONDS:g} s")
    error = message.error()
    if error is not None:
        raise RuntimeError(error.str())
    return message


if __name__ == "__main__":
    main()
