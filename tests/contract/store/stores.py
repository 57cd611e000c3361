"""Every kind of store that the suite runs over, and small pieces to fill one with."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import sessionfold_schemas as contract
from sessionfold_consumer.decode import decode
from sessionfold_consumer.fold import fold
from sessionfold_consumer.state import Row, Rows, State, columns_of, public_columns, state_columns
from sessionfold_consumer.store import (
    Advance,
    DeadLetter,
    MemoryShadow,
    MemoryStore,
    Position,
    SessionStore,
    ShadowStore,
    TopicIdentity,
    migrate_store,
    open_store,
)
from sessionfold_consumer.store.postgres import PostgresStore
from sessionfold_consumer.store.postgres_shadow import PostgresShadow
from sessionfold_consumer.store.sqlite import SqliteStore
from sessionfold_consumer.store.sqlite_shadow import SqliteShadow
from tests.services.postgres_databases import Postgres, query
from tests.services.topics import StoredRecord
from tests.strategies import batch_of

IDENTITY = TopicIdentity(topic="session-updates", topic_id="id-1", partition_count=3)

NAMES = [column.name for column in state_columns()]

_FIRST_NAMES = {column.name for column in columns_of(contract.by_version(1))}

VIEW_COLUMNS = (
    *(name for name in public_columns() if name in _FIRST_NAMES),
    "dead_letters",
    *(name for name in public_columns() if name not in _FIRST_NAMES),
)
"""What the view ``sessions`` of every store has: migrations add behind what is there."""


@contextmanager
def _memory() -> Iterator[SessionStore]:
    with closing(MemoryStore()) as store:
        yield store


@contextmanager
def _sqlite() -> Iterator[SessionStore]:
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(SqliteStore(Path(folder) / "sessions.db")) as store,
    ):
        yield store


_EMPTY = """
    DO $$
    DECLARE name text;
    BEGIN
        FOR name IN SELECT tablename FROM pg_tables
            WHERE schemaname = 'sessionfold' AND tablename <> 'store_info'
        LOOP
            EXECUTE 'DELETE FROM sessionfold.' || name;
        END LOOP;
        UPDATE sessionfold.store_info SET
            store_id = gen_random_uuid(), topic = NULL, topic_id = NULL, partition_count = NULL,
            generation = 'a', stopped = NULL,
            shadow = 'empty', shadow_origin = NULL;
    END $$
"""
"""Makes a store as good as new: for properties, which take hundreds, faster than a new one."""


class Databases:
    """Databases of a PostgreSQL server for stores, each used again after its store is gone."""

    def __init__(self) -> None:
        self.server: Callable[[], Postgres] | None = None
        """Gives the server, when the first database is wanted; set by ``conftest.py``."""
        self._free: list[str] = []

    @contextmanager
    def store(self) -> Iterator[str]:
        """Make a store of its own in a database, and return the URL."""
        assert self.server is not None
        if self._free:
            url = self._free.pop()
        else:
            url = self.server().create_database()
            migrate_store(url)
        yield url
        query(url, _EMPTY)
        self._free.append(url)


databases = Databases()


@contextmanager
def _postgres() -> Iterator[SessionStore]:
    with databases.store() as url, closing(open_store(url)) as store:
        yield store


KINDS: dict[str, Callable[[], AbstractContextManager[SessionStore]]] = {
    "memory": _memory,
    "sqlite": _sqlite,
    "postgres": _postgres,
}
"""For each kind: a new store of it, closed and gone after the block."""


@contextmanager
def bound(kind: str) -> Iterator[SessionStore]:
    """Make a store of a kind that is bound to ``IDENTITY``, its three partitions at offset 0."""
    with KINDS[kind]() as store:
        store.bind(IDENTITY, dict.fromkeys(range(3), 0))
        yield store


@contextmanager
def shadow_of(store: SessionStore) -> Iterator[ShadowStore]:
    """Open the shadow of one of these stores."""
    match store:
        case MemoryStore():
            yield MemoryShadow(store)
        case SqliteStore():
            with closing(SqliteShadow(store._path)) as shadow:
                yield shadow
        case PostgresStore():
            with closing(PostgresShadow(store._database._url)) as shadow:
                yield shadow


def moved(position: Position, next_offset: int) -> Position:
    """Return the position after a commit that advanced it."""
    return replace(position, next_offset=next_offset)


def advance(position: Position, next_offset: int) -> Advance:
    """Return the step from a position to an offset."""
    return Advance(position=position, next_offset=next_offset)


def fill(store: SessionStore, batches: Sequence[Sequence[StoredRecord]]) -> None:
    """Fold batches of records into a store, with their positions and dead letters."""
    held = store.claim(sorted(store.positions()), "a test")
    for batch in batches:
        reached = {record.partition: record.offset + 1 for record in batch}
        advances = [advance(held[partition], offset) for partition, offset in reached.items()]
        store.commit(advances, rows_of(batch), letters_of(batch))
        held |= {p: moved(held[p], offset) for p, offset in reached.items()}


def rows_of(batch: Sequence[StoredRecord]) -> Rows:
    """Fold the valid records of a batch."""
    return fold(decode(batch_of(batch)))


def letters_of(batch: Sequence[StoredRecord]) -> list[DeadLetter]:
    """Return a dead letter for each record of a batch that is not valid."""
    return [
        letter(
            batch[refused.place].partition,
            batch[refused.place].offset,
            key=batch[refused.place].key,
            value=batch[refused.place].value,
            reason=refused.reason,
        )
        for refused in decode(batch_of(batch)).refused
    ]


def row(session_id: str = "a", partition: int = 0, offset: int = 0, **given: Any) -> Row:  # noqa: ANN401
    """Return the row of one event at an offset that gave the fields ``given``."""
    values: State = {name: given.get(name) for name in NAMES}
    values |= {"session_id": session_id, "partition": partition, "event_count": 1}
    values |= {"first_offset": offset, "last_offset": offset, "lost_before": 0}
    occurred_at = given.pop("occurred_at", 0)
    values |= {"first_occurred_at": occurred_at, "last_occurred_at": occurred_at}
    values |= {f"{name}_offset": offset for name in given}
    return tuple(values[name] for name in NAMES)


def letter(partition: int = 0, offset: int = 0, **given: Any) -> DeadLetter:  # noqa: ANN401
    """Return a dead letter; what is not given has a plain value."""
    fields: dict[str, Any] = {
        "timestamp": 1_760_000_000_000,
        "key": b"a",
        "value": b"no event",
        "headers": (),
        "reason": "not_single_object",
        "detail": "it begins with 6e6f",
    }
    return DeadLetter(partition=partition, offset=offset, **fields | given)
