"""The SQLite store's migrations: an older file is brought up to date, whole or not at all."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Barrier

import pytest

import sessionfold_schemas as contract
from sessionfold_consumer.errors import FencedError, StoreUnusableError
from sessionfold_consumer.state import Row, columns_of
from sessionfold_consumer.store import Position, dump, migrate_store, store_versions
from sessionfold_consumer.store.sqlite import SqliteStore
from sessionfold_consumer.store.sqlite_migrations import SCHEMA_VERSION, statements
from tests.contract.store.stores import IDENTITY, advance, letter, moved, row

ROWS = [
    row("a", 0, offset=4, task="old"),
    row("b", 0, offset=9, is_finished=True),
    row("a", 1, offset=2),
]
_BEHIND = rf"is of version 1, .* with {SCHEMA_VERSION};.*store migrate"

LETTERS = [
    letter(0, 5),
    letter(0, 3, key=b"x" * 513),
    letter(1, 7, key=None, headers=(("trace", b"\xff"),)),
    letter(2, 6, key=b"\xff"),
]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file as version 1 left it, with states, positions and dead letters."""
    path = tmp_path / "sessions.db"
    make_old(path, ROWS)
    return path


def test_nothing_of_an_older_store_is_lost(old: Path) -> None:
    """Its ID, binding, positions with their owners, states and dead letters, which are all open."""
    with closing(sqlite3.connect(old)) as database:
        (store_id,) = database.execute("SELECT store_id FROM store_info").fetchone()
    with closing(SqliteStore(old)) as store:
        info = store.info()
        assert (info.store_id, info.identity) == (store_id, IDENTITY)
        assert (info.generation, info.stopped) == ("a", None)
        assert store.positions() == {
            0: Position(partition=0, next_offset=10, owner_epoch=3),
            1: Position(partition=1, next_offset=8, owner_epoch=2),
            2: Position(partition=2, next_offset=7, owner_epoch=0),
        }
        assert [tuple(state.values()) for state in store.states()] == sorted(ROWS)
        assert list(store.dead_letters()) == sorted(LETTERS, key=lambda x: (x.partition, x.offset))
        assert store.gaps() == []


def test_the_sessions_of_an_older_store_are_marked(old: Path) -> None:
    """By the keys of its dead letters, of which some are no session IDs."""
    migrate_store(url(old))
    query = "SELECT session_id, partition, dead_letters FROM sessions"
    with closing(sqlite3.connect(old)) as database:
        found = {(name, partition): count for name, partition, count in database.execute(query)}
        assert found == {("a", 0): 1, ("b", 0): 0, ("a", 1): 0}
        ids = database.execute("SELECT record_offset, session_id FROM dead_letters_a").fetchall()
    assert dict(ids) == {5: "a", 3: None, 7: None, 6: None}


def test_an_older_store_is_as_one_that_was_folded_anew(old: Path, tmp_path: Path) -> None:
    """The dumps are equal, so nothing tells how it came to be."""
    with (
        closing(SqliteStore(old)) as migrated,
        closing(SqliteStore(tmp_path / "new.db")) as new,
    ):
        new.bind(IDENTITY, dict.fromkeys(range(3), 0))
        held = new.claim([0, 1, 2], "one")
        reached = {0: 10, 1: 8, 2: 7}
        new.commit([advance(held[p], end) for p, end in reached.items()], ROWS, LETTERS)
        assert list(dump(migrated)) == list(dump(new))


def test_where_an_older_fold_began_is_where_it_first_met_a_record(tmp_path: Path) -> None:
    """Version 1 did not keep it; what comes before was no event and no dead letter."""
    path = tmp_path / "sessions.db"
    make_old(path, [row("a", 1, offset=5), row("b", 1, offset=4), row("a", 2, offset=6)])
    with closing(SqliteStore(path)) as store:
        first = {p: each.first_offset for p, each in store.positions().items()}
    assert first == {0: 3, 1: 4, 2: 6}


def test_a_partition_that_was_never_read_begins_where_it_is(tmp_path: Path) -> None:
    """There is nothing else to go by."""
    path = tmp_path / "sessions.db"
    make_old(path, [], with_letters=False)
    with closing(SqliteStore(path)) as store:
        assert {p: each.first_offset for p, each in store.positions().items()} == {
            0: 10,
            1: 8,
            2: 7,
        }


def test_a_service_goes_on_with_a_migrated_store(old: Path) -> None:
    """From its positions; whoever held them before is fenced as ever."""
    with closing(SqliteStore(old)) as store:
        held = store.claim([0], "new")
        assert held[0].owner_epoch == 4
        store.commit([advance(held[0], 12)], [row("a", 0, offset=11, task="new")], [])
        assert store.get("a")[0]["task"] == "new"
        with pytest.raises(FencedError):
            store.commit(
                [advance(Position(partition=0, next_offset=10, owner_epoch=3), 12)], [], []
            )
        store.resolve([LETTERS[0]], "retried", [row("a", 0, offset=5)])
        assert store.get("a")[0]["event_count"] == 3


def test_a_store_without_topic_is_migrated(tmp_path: Path) -> None:
    """As ``store dump`` of a store leaves it that no service has run on."""
    path = tmp_path / "sessions.db"
    with closing(sqlite3.connect(path)) as database:
        run_version_1(database)
    with closing(SqliteStore(path)) as store:
        assert (store.info().identity, store.positions()) == (None, {})
        store.bind(IDENTITY, dict.fromkeys(range(3), 0))


def test_a_command_that_only_answers_migrates_nothing(old: Path) -> None:
    """It says which command does."""
    before = old.read_bytes()
    for answer in (lambda: SqliteStore(old, read_only=True), lambda: store_versions(url(old))):
        with pytest.raises(StoreUnusableError, match=_BEHIND):
            answer()
    assert old.read_bytes() == before


def test_migrating_says_what_it_did(old: Path, tmp_path: Path) -> None:
    """The version before and after; a store that is not there is made."""
    assert migrate_store(url(old)) == (1, SCHEMA_VERSION)
    assert migrate_store(url(old)) == (SCHEMA_VERSION, SCHEMA_VERSION)
    assert migrate_store(url(tmp_path / "new.db")) == (0, SCHEMA_VERSION)
    assert store_versions(url(old)) == store_versions(url(tmp_path / "new.db"))


def test_a_new_store_has_what_a_migrated_one_has(old: Path, tmp_path: Path) -> None:
    """Tables, columns, indexes and view: a new one runs the same migrations."""
    migrate_store(url(old))
    migrate_store(url(tmp_path / "new.db"))
    assert schema(old) == schema(tmp_path / "new.db")


def test_the_contract_of_a_migrated_store_is_the_newest(old: Path) -> None:
    """It is what the states are folded by from then on; its fields are there, not given yet."""
    with closing(SqliteStore(old)) as store:
        info = store.info()
        assert (info.contract_version, info.contract_digest) == (
            contract.current().version,
            contract.current().digest,
        )
        store.commit([], [row("a", 0, offset=11, tags=["new"])], [])
        first, *others = store.states()
        assert (first["tags"], first["tags_offset"], first["task"]) == (["new"], 11, "old")
        assert {each["tags"] for each in others} == {None}


def test_both_generations_have_the_same_tables(old: Path) -> None:
    """So one can be filled beside the other, without a change of the schema at run time."""
    migrate_store(url(old))
    for table in ("session_state", "positions", "dead_letters", "gaps"):
        first, second = (columns(old, f"{table}_{generation}") for generation in "ab")
        assert first == second != []


def test_many_may_migrate_one_store(old: Path) -> None:
    """The first does it, the others find it done."""
    workers = 4
    barrier = Barrier(workers)

    def opens(_: int) -> str:
        barrier.wait()
        with closing(SqliteStore(old)) as store:
            return "\n".join(dump(store))

    with ThreadPoolExecutor(workers) as pool:
        assert len(set(pool.map(opens, range(workers)))) == 1


KILL = """
import os, sys
from pathlib import Path
from sessionfold_consumer.store import sqlite_migrations
from sessionfold_consumer.store.sqlite import SqliteStore
whole = sqlite_migrations.statements
done = []
def killed(number):
    for statement in whole(number):
        yield statement
        done.append(statement)
        if len(done) == int(sys.argv[2]):
            os.kill(os.getpid(), 9)
sqlite_migrations.statements = killed
SqliteStore(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("after", [1, 4, 9, 24])
def test_a_migration_that_is_killed_has_changed_nothing(old: Path, after: int) -> None:
    """At whichever statement; opening it again does all of it."""
    program = [sys.executable, "-c", KILL, str(old), str(after)]
    assert subprocess.run(program, check=False).returncode == -9
    with closing(sqlite3.connect(old)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM session_state").fetchone() == (len(ROWS),)
    test_nothing_of_an_older_store_is_lost(old)


def test_a_store_of_another_contract_is_not_migrated(old: Path) -> None:
    """It is refused as it is, so that the program it belongs to can go on with it."""
    with closing(sqlite3.connect(old, isolation_level=None)) as database:
        database.execute("UPDATE store_info SET contract_version = 1, contract_digest = 'abc'")
    with pytest.raises(StoreUnusableError, match="version 1 of the contract"):
        SqliteStore(old)
    with closing(sqlite3.connect(old)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (1,)


def test_claiming_and_opening_turn_to_the_live_generation(tmp_path: Path) -> None:
    """What is held of the other is not carried over: its positions are others."""
    path = tmp_path / "sessions.db"
    with closing(SqliteStore(path)) as store, closing(sqlite3.connect(path)) as rebuild:
        store.bind(IDENTITY, dict.fromkeys(range(3), 0))
        held = store.claim([0], "one")
        store.commit([advance(held[0], 5)], [row("a", task="old")], [letter(0, 4)])
        rebuild.execute("INSERT INTO positions_b SELECT * FROM positions_a")
        rebuild.execute("UPDATE positions_b SET next_offset = 7, owner_epoch = 40")
        rebuild.execute("UPDATE store_info SET generation = 'b'")
        rebuild.commit()
        held = store.claim([0], "one")
        assert held == {0: Position(partition=0, next_offset=7, owner_epoch=41)}
        assert (list(store.states()), list(store.dead_letters())) == ([], [])
        store.commit([advance(held[0], 8)], [row("a", offset=7, task="new")], [])
        with closing(SqliteStore(path, read_only=True)) as opened:
            assert opened.info().generation == "b"
            assert opened.positions()[0] == moved(held[0], 8)
            assert [state["task"] for state in opened.states()] == ["new"]


def url(path: Path) -> str:
    """Return the URL of a file."""
    return f"sqlite:///{path}"


def make_old(path: Path, rows: Sequence[Row], *, with_letters: bool = True) -> None:
    """Make a file as version 1 did: its tables, and what it wrote into them."""
    names = [column.name for column in columns_of(contract.by_version(1))]
    places = ", ".join("?" for _ in names)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        run_version_1(database)
        database.execute(
            "UPDATE store_info SET topic = ?, topic_id = ?, partition_count = ?",
            (IDENTITY.topic, IDENTITY.topic_id, IDENTITY.partition_count),
        )
        database.executemany(
            "INSERT INTO positions VALUES (?, ?, ?, ?)",
            [(0, 10, "host:1", 3), (1, 8, "host:2", 2), (2, 7, None, 0)],
        )
        database.executemany(
            f"INSERT INTO session_state ({', '.join(names)}) VALUES ({places})",  # noqa: S608
            [each[: len(names)] for each in rows],
        )
        if with_letters:
            database.executemany(
                "INSERT INTO dead_letters VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        *(each.partition, each.offset, each.timestamp, each.key, each.value),
                        json.dumps([[name, (value or b"").hex()] for name, value in each.headers]),
                        *(each.reason, each.detail),
                    )
                    for each in LETTERS
                ],
            )
        database.commit()


def run_version_1(database: sqlite3.Connection) -> None:
    """Make the tables of version 1."""
    for statement in statements(1):
        database.execute(statement)
    database.commit()


def schema(path: Path) -> list[tuple[object, ...]]:
    """Return all that a closed file's schema consists of."""
    query = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query).fetchall()


def columns(path: Path, table: str) -> list[tuple[object, ...]]:
    """Return the columns of a table of a closed file: name, type, whether null is refused ..."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute(f"PRAGMA table_info({table})").fetchall()
