"""The embedded store: one SQLite file in WAL mode.

``synchronous=NORMAL`` is enough: a power failure may take back the last transactions, states and
positions together, and the log refills them.
"""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sessionfold_schemas import current

from ..errors import FencedError, StoreUnusableError, TopicChangedError
from ..state import Row, State, StateColumn, state_columns
from . import sql
from .memory import changed_message, missing_message
from .protocol import Advance, DeadLetter, Position, Selection, StoreInfo, TopicIdentity

SCHEMA_VERSION = 1
"""The newest migration; kept in the file's ``user_version``."""

_BUSY_SECONDS = 10.0
_CACHE_KIBIBYTES = 65_536
_TYPES = {
    "string": "TEXT",
    "long": "INTEGER",
    "int": "INTEGER",
    "double": "REAL",
    "boolean": "INTEGER",
    "timestamp": "INTEGER",
}


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
        if read_only and not path.exists():
            raise StoreUnusableError(
                f"there is no store at {path}; name one with --store, "
                "or make one with: sessionfold run"
            )
        with self._translated("open"):
            self._database = _connect(path, read_only)
            try:
                self._prepare(read_only)
            except BaseException:
                self._database.close()
                raise
        names = [column.name for column in state_columns()]
        self._sql = sql.statements(
            "sqlite.sql",
            columns=", ".join(names),
            placeholders=", ".join("?" for _ in names),
            merges=",\n    ".join(_merge(c) for c in state_columns() if c.merge != "key"),
        )
        self._booleans = [
            (place, column.name)
            for place, column in enumerate(state_columns())
            if column.type == "boolean"
        ]

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

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _read(self, statement: str, values: tuple[Any, ...]) -> Iterator[State]:
        names = [column.name for column in state_columns()]
        with self._translated("read"):
            for row in self._database.execute(self._sql[statement], values):
                state = dict(zip(names, row, strict=True))
                for place, name in self._booleans:
                    state[name] = None if row[place] is None else bool(row[place])
                yield state

    def _prepare(self, read_only: bool) -> None:
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA_VERSION:
            raise StoreUnusableError(
                f"the store {self._path} is of version {version}, this program knows up to "
                f"{SCHEMA_VERSION}; upgrade sessionfold"
            )
        if version == 0 and not read_only:
            self._migrate()
        elif version == 0:
            raise StoreUnusableError(
                f"{self._path} is not a store of sessionfold; name another with --store"
            )
        self._check_contract()

    def _migrate(self) -> None:
        tables = self._database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
        if tables:
            raise StoreUnusableError(
                f"{self._path} is a database of another program; name another file with --store"
            )
        contract = current()
        schema = sql.load(
            "sqlite_schema.sql",
            state_columns=",\n    ".join(_definition(column) for column in state_columns()),
            view_columns=", ".join(_view_column(c) for c in state_columns() if c.merge != "offset"),
            schema_version=str(SCHEMA_VERSION),
            store_id=str(uuid.uuid4()),
            contract_version=str(contract.version),
            contract_digest=contract.digest,
        )
        # One script, one transaction: a migration that is interrupted leaves nothing.
        self._database.executescript(f"BEGIN IMMEDIATE; {schema} COMMIT;")

    def _check_contract(self) -> None:
        query = "SELECT contract_version, contract_digest FROM store_info"
        version, digest = self._database.execute(query).fetchone()
        if digest != current().digest:
            raise StoreUnusableError(
                f"the store {self._path} was folded with version {version} of the contract "
                f"({digest[:12]}), this program has version {current().version} "
                f"({current().digest[:12]}); fold the topic into a new store (another --store)"
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated("write"):
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _translated(self, action: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise StoreUnusableError(
                f"cannot {action} the store {self._path}: {error}; check that the file and its "
                "folder are writable, that the disk has room, and that it is a store of sessionfold"
            ) from error


def _connect(path: Path, read_only: bool) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,  # transactions are begun by name
        check_same_thread=False,
    )
    if not read_only:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
    return database


def _definition(column: StateColumn) -> str:
    given_always = column.merge != "offset" and column.decided_by in (
        None,
        "first_offset",
        "last_offset",
    )
    return f"{column.name} {_TYPES[column.type]}{' NOT NULL' if given_always else ''}"


def _view_column(column: StateColumn) -> str:
    if column.type != "timestamp":
        return column.name
    seconds, rest = f"{column.name} / 1000000", f"{column.name} % 1000000"
    return (
        f"strftime('%Y-%m-%dT%H:%M:%S', {seconds}, 'unixepoch') || "
        f"printf('.%06dZ', {rest}) AS {column.name}"
    )


def _merge(column: StateColumn) -> str:
    name = column.name
    match column.merge:
        case "least":
            value = f"min({name}, excluded.{name})"
        case "greatest":
            value = f"max({name}, excluded.{name})"
        case "add":
            value = f"{name} + excluded.{name}"
        case "offset":
            value = _taken(name, name, column.prefers)
        case _:
            value = _taken(name, column.decided_by, column.merge)
    return f"{name} = {value}"


def _taken(name: str, decided_by: str | None, prefers: str | None) -> str:
    sign, never = ("<", 2**63 - 1) if prefers == "earliest" else (">", -1)
    return (
        f"CASE WHEN excluded.{decided_by} {sign} ifnull({decided_by}, {never}) "
        f"THEN excluded.{name} ELSE {name} END"
    )


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
