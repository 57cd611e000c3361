"""The embedded store: one SQLite file in WAL mode.

``synchronous=NORMAL`` is enough: a power failure may take back the last transactions, states and
positions together, and the log refills them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sessionfold_schemas import session_id_problem

from ..errors import FencedError, StoreBusyError, StoreUnusableError, TopicChangedError
from ..state import Row, State, state_columns
from . import sql
from .columns import merges
from .messages import changed_message, missing_message
from .protocol import Advance, DeadLetter, Position, Selection, StoreInfo, TopicIdentity
from .sqlite_file import connect, primary_code, transaction

_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL}

_ADVICE = {
    sqlite3.SQLITE_BUSY: "another process has held it locked for too long; stop it, or try again",
    sqlite3.SQLITE_CANTOPEN: "it must be a file in a folder that exists, both writable",
    sqlite3.SQLITE_CORRUPT: "it is damaged; fold the topic into a new store (another --store)",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_NOTADB: "name a store with --store",
    sqlite3.SQLITE_PERM: "change its rights or its owner",
    sqlite3.SQLITE_READONLY: "change the rights or the owner of the file and its folder",
}
_OTHER_ADVICE = "check its disk; what was committed before is right"


class SqliteStore:
    """A store in one file; see :class:`SessionStore` for the behaviour.

    Args:
        path: the file; it is created when it does not exist, unless ``read_only``.
        read_only: for commands that only answer; nothing is created or migrated.

    Raises:
        StoreUnusableError: when the file cannot be opened or created, is no store of this program,
            or was written by a newer release.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        with self._translated("open"):
            self._database = connect(path, read_only=read_only)
        names = [column.name for column in state_columns()]
        self._sql = sql.statements(
            "sqlite.sql",
            columns=", ".join(names),
            placeholders=", ".join("?" for _ in names),
            merges=",\n    ".join(merges()),
        )

    def info(self) -> StoreInfo:
        """Return what this store is the fold of."""
        with self._translated("read"):
            row = self._database.execute(self._sql["read_info"]).fetchone()
        store_id, version, digest, topic, topic_id, count = row
        identity = None
        if topic is not None:
            identity = TopicIdentity(topic=topic, topic_id=topic_id, partition_count=count)
        return StoreInfo(
            store_id=store_id, contract_version=version, contract_digest=digest, identity=identity
        )

    def bind(self, identity: TopicIdentity, first_offsets: Mapping[int, int]) -> None:
        """Tie a new store to its topic."""
        values = (identity.topic, identity.topic_id, identity.partition_count)
        with self._transaction() as database:
            if database.execute(self._sql["bind_topic"], values).rowcount:
                database.executemany(self._sql["create_position"], sorted(first_offsets.items()))
        bound = self.info().identity
        if bound is not None and bound != identity:
            raise TopicChangedError(changed_message(bound, identity))

    def positions(self) -> dict[int, Position]:
        """Return the position of every partition."""
        with self._translated("read"):
            rows = self._database.execute(self._sql["read_positions"]).fetchall()
        return {
            partition: Position(partition=partition, next_offset=offset, owner_epoch=epoch)
            for partition, offset, epoch in rows
        }

    def claim(self, partitions: Sequence[int], owner: str) -> dict[int, Position]:
        """Take partitions over."""
        with self._transaction() as database:
            for partition in partitions:
                if not database.execute(self._sql["claim_position"], (owner, partition)).rowcount:
                    raise StoreUnusableError(missing_message(partition))
            # Read before others can claim: an epoch of theirs must not be taken for one's own.
            positions = self.positions()
        return {partition: positions[partition] for partition in partitions}

    def commit(
        self, advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
    ) -> None:
        """Merge rows, keep dead letters and advance positions, in one transaction."""
        with self._transaction() as database:
            for advance in advances:
                held = advance.position
                expected = (advance.next_offset, held.partition, held.next_offset, held.owner_epoch)
                if not database.execute(self._sql["advance_position"], expected).rowcount:
                    raise FencedError(held.partition)
            database.executemany(self._sql["merge_state"], rows)
            database.executemany(self._sql["keep_dead_letter"], map(_letter_row, dead_letters))

    def get(self, session_id: str) -> list[State]:
        """Return the session's states."""
        if session_id_problem(session_id) is not None:
            return []  # also what the database could not even be asked
        return list(self._read("read_session", (session_id,)))

    def select(self, selection: Selection) -> Iterator[State]:
        """Return the states of the selected sessions."""
        finished = None if selection.status == "all" else int(selection.status == "finished")
        limit = -1 if selection.limit is None else selection.limit
        return self._read("select_sessions", (finished, selection.last_occurred_before, limit))

    def states(self) -> Iterator[State]:
        """Return all states in order."""
        return self._read("read_all", ())

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Return all dead letters in order."""
        with self._translated("read"):
            for row in self._database.execute(self._sql["read_dead_letters"]):
                yield _letter(row)

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read from one moment within the block."""
        with self._translated("read"), transaction(self._database, "BEGIN"):
            yield

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _read(self, statement: str, values: tuple[Any, ...]) -> Iterator[State]:
        names = [column.name for column in state_columns()]
        booleans = [column.name for column in state_columns() if column.type == "boolean"]
        with self._translated("read"):
            for row in self._database.execute(self._sql[statement], values):
                state = dict(zip(names, row, strict=True))
                for name in booleans:
                    state[name] = None if state[name] is None else bool(state[name])
                yield state

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated("write"), transaction(self._database, "BEGIN IMMEDIATE"):
            yield self._database

    @contextmanager
    def _translated(self, action: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            advice = _ADVICE.get(primary_code(error), _OTHER_ADVICE)
            kind = StoreBusyError if primary_code(error) in _PASSING else StoreUnusableError
            raise kind(f"cannot {action} the store {self._path}: {error}; {advice}") from error


def _letter_row(letter: DeadLetter) -> tuple[Any, ...]:
    headers = [[name, None if value is None else value.hex()] for name, value in letter.headers]
    return (
        letter.partition,
        letter.offset,
        letter.timestamp,
        letter.key,
        letter.value,
        json.dumps(headers),
        letter.reason,
        letter.detail,
    )


def _letter(row: tuple[Any, ...]) -> DeadLetter:
    partition, offset, timestamp, key, value, headers, reason, detail = row
    return DeadLetter(
        partition=partition,
        offset=offset,
        timestamp=timestamp,
        key=key,
        value=value,
        headers=tuple(
            (name, None if text is None else bytes.fromhex(text))
            for name, text in json.loads(headers)
        ),
        reason=reason,
        detail=detail,
    )
