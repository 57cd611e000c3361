"""The SQLite store's file: made, reopened, shared, and refused with one clear sentence."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Barrier, Timer

import pytest

import sessionfold_schemas as contract
from sessionfold_consumer.errors import FencedError, StoreUnusableError
from sessionfold_consumer.store import Position, dump
from sessionfold_consumer.store.sqlite import SqliteStore
from sessionfold_consumer.store.sqlite_migrations import SCHEMA_VERSION
from tests.contract.store.stores import IDENTITY, advance, letter, row

_NOBODY = 65534


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The file of a store that is not there yet."""
    return tmp_path / "sessions.db"


@pytest.fixture
def filled(path: Path) -> Path:
    """The file of a closed store that holds a session, positions and a dead letter."""
    with closing(SqliteStore(path)) as store:
        store.bind(IDENTITY, dict.fromkeys(range(3), 0))
        held = store.claim([0], "one")
        rows = [row(f"session {n}", offset=n, task="x" * 200) for n in range(200)]
        store.commit([advance(held[0], 200)], rows, [letter(0, 7)])
    return path


def test_a_store_is_what_it_was_when_it_is_opened_again(path: Path) -> None:
    """All of it: what it is, positions with their epochs, states, dead letters."""
    with closing(SqliteStore(path)) as store:
        store.bind(IDENTITY, dict.fromkeys(range(3), 0))
        held = store.claim([0], "one")
        store.commit([advance(held[0], 5)], [row("a", task="t", is_finished=True)], [letter()])
        before = (store.info(), store.positions(), list(dump(store)))
    for read_only in (False, True):
        with closing(SqliteStore(path, read_only=read_only)) as store:
            assert (store.info(), store.positions(), list(dump(store))) == before


def test_a_closed_store_is_one_file(filled: Path) -> None:
    """So it can be copied and deleted as one."""
    assert [each.name for each in filled.parent.iterdir()] == [filled.name]


def test_of_two_processes_the_later_claim_wins(filled: Path) -> None:
    """The fence is in the file: neither knows of the other."""
    with closing(SqliteStore(filled)) as one, closing(SqliteStore(filled)) as two:
        first = one.claim([0, 1], "one")
        second = two.claim([1], "two")
        with pytest.raises(FencedError):
            one.commit([advance(first[1], 5)], [row("lost")], [])
        two.commit([advance(second[1], 5)], [row("kept", 1)], [])
        one.commit([advance(first[0], 201)], [], [])
        assert one.get("lost") == []
        assert one.positions() == two.positions()


def test_no_two_claims_share_an_epoch(filled: Path) -> None:
    """However closely they follow each other; a shared epoch would fence neither.

    The other claims as soon as it can: before the first statement that is in no transaction.
    """
    others: list[int] = []
    with closing(SqliteStore(filled)) as one, closing(SqliteStore(filled)) as other:

        def cut_in(statement: str) -> None:
            if not (one._database.in_transaction or others or "BEGIN" in statement):
                others.append(other.claim([0], "other")[0].owner_epoch)

        one._database.set_trace_callback(cut_in)
        mine = one.claim([0], "one")[0].owner_epoch
        one.positions()
    assert (mine, others) == (2, [3])


def test_many_may_make_one_store(path: Path) -> None:
    """The first makes it, the others find it made: services start together on a new host."""
    workers = 6
    barrier = Barrier(workers)

    def opens(_: int) -> str:
        barrier.wait()
        with closing(SqliteStore(path)) as store:
            store.bind(IDENTITY, dict.fromkeys(range(3), 0))
            return store.info().store_id

    with ThreadPoolExecutor(workers) as pool:
        assert len(set(pool.map(opens, range(workers)))) == 1


def test_a_store_that_another_is_just_making_is_waited_for(path: Path) -> None:
    """SQLite itself does not wait when it is told to switch to WAL mode."""
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = Timer(0.2, other.execute, ["ROLLBACK"])
        release.start()
        SqliteStore(path).close()
        release.join()


def test_a_dump_is_of_one_moment(filled: Path) -> None:
    """What a service commits while a dump is written is not in it: positions and states agree."""
    with closing(SqliteStore(filled)) as service, closing(SqliteStore(filled)) as reader:
        expected = list(dump(reader))
        lines = dump(reader)
        begun = [next(lines)]
        held = service.claim([0], "two")
        service.commit([advance(held[0], 201)], [row("new")], [letter(0, 200)])
        assert [*begun, *lines] == expected
        assert list(dump(reader)) == list(dump(service)) != expected


def test_a_reader_does_not_stop_a_writer(filled: Path) -> None:
    """A listing that somebody pages through slowly must not hold up the fold."""
    with closing(SqliteStore(filled)) as service, closing(open_read_only(filled)) as reader:
        states = reader.states()
        next(states)
        service.commit([], [row("new")], [])
        assert len(list(states)) == 199


def test_a_store_that_is_not_there_is_not_made_by_reading(path: Path) -> None:
    """``list`` with a mistyped name says so, and leaves no empty file behind."""
    with refused(f"there is no store at {path}; .*--store.*sessionfold run"):
        SqliteStore(path, read_only=True)
    assert not path.exists()


def test_an_empty_file_is_no_store_to_read_but_can_be_made_one(path: Path) -> None:
    """As ``mktemp`` leaves one."""
    path.touch()
    with refused(f"{path} is an empty file and no store yet"):
        SqliteStore(path, read_only=True)
    SqliteStore(path).close()
    SqliteStore(path, read_only=True).close()


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize(
    "made_by",
    ["CREATE TABLE theirs (x)", "PRAGMA user_version = 1", "PRAGMA application_id = 1"],
)
def test_a_database_of_another_program_is_left_as_it_is(
    path: Path, made_by: str, read_only: bool
) -> None:
    """Refused before anything is changed in it, its journal mode included."""
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute(made_by)
    before = path.read_bytes()
    with refused(f"{path} is a database of another program; .*--store"):
        SqliteStore(path, read_only=read_only)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("read_only", [False, True])
def test_a_store_that_needs_a_newer_program_is_refused(filled: Path, read_only: bool) -> None:
    """This one would not find what it looks for."""
    change(filled, "PRAGMA user_version = 99")
    change(filled, "UPDATE store_info SET compatible_from = 98")
    with refused(
        f"is of version 99 and needs a program that knows version 98, .* {SCHEMA_VERSION}; upgrade"
    ):
        SqliteStore(filled, read_only=read_only)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_newer_store_that_only_has_more_is_used(filled: Path, read_only: bool) -> None:
    """So services are upgraded one by one: the old ones go on. And nothing is taken back."""
    change(filled, "PRAGMA user_version = 99")
    change(filled, "UPDATE store_info SET contract_version = 9, contract_digest = 'unknown'")
    with closing(SqliteStore(filled, read_only=read_only)) as store:
        assert store.positions()[0].next_offset == 200
    assert versions_of(filled) == (99, 2)


@pytest.mark.parametrize("version", [0, 1, contract.current().version])
@pytest.mark.parametrize("read_only", [False, True])
def test_a_store_of_another_contract_is_refused(
    filled: Path, read_only: bool, version: int
) -> None:
    """The Avro fingerprint does not see fold rules; the digest does."""
    change(filled, f"UPDATE store_info SET contract_version = {version}")  # noqa: S608
    change(filled, "UPDATE store_info SET contract_digest = 'abc'")
    with refused(rf"folded with version {version} of the contract \(abc\).*another --store"):
        SqliteStore(filled, read_only=read_only)


def test_a_store_with_the_digest_of_another_version_is_refused(filled: Path) -> None:
    """Number and digest are those of one version, or something has been changed by hand."""
    digest = contract.by_version(1).digest
    change(filled, f"UPDATE store_info SET contract_digest = '{digest}'")  # noqa: S608
    with refused(r"folded with version 2 of the contract"):
        SqliteStore(filled)


@pytest.mark.parametrize("read_only", [False, True])
def test_a_file_that_is_no_database_is_refused(path: Path, read_only: bool) -> None:
    """And left as it is."""
    path.write_bytes(b"a diary, not a database" * 1000)
    before = path.read_bytes()
    with refused(f"cannot open the store {path}: file is not a database; name a store"):
        SqliteStore(path, read_only=read_only)
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    """The folder is the user's to make."""
    with refused("must be a file in a folder that exists"):
        SqliteStore(tmp_path / "missing" / "sessions.db")


@pytest.mark.parametrize("read_only", [False, True])
def test_a_folder_is_no_store(tmp_path: Path, read_only: bool) -> None:
    """As when a volume is mounted where the file was meant to be."""
    with refused(f"{tmp_path} is a folder; name a file with --store"):
        SqliteStore(tmp_path, read_only=read_only)


def test_a_folder_that_may_not_be_written_is_said(shared_folder: Path) -> None:
    """Before the first batch is fetched, not after."""
    shared_folder.chmod(0o555)
    with as_nobody(), refused("cannot open the store .*writable"):
        SqliteStore(shared_folder / "sessions.db")


def test_a_file_that_may_not_be_written_is_said(shared_folder: Path) -> None:
    """SQLite itself would open it for reading, and fail at the first batch."""
    path = shared_folder / "sessions.db"
    SqliteStore(path).close()
    path.chmod(0o444)
    shared_folder.chmod(0o777)
    with as_nobody(), refused("attempt to write a readonly database; change the rights"):
        SqliteStore(path)
    with as_nobody(), closing(open_read_only(path)) as store:
        assert list(store.states()) == []


def test_an_empty_file_that_may_not_be_written_is_said(shared_folder: Path) -> None:
    """At once: nothing is waited for that time does not mend."""
    path = shared_folder / "sessions.db"
    path.touch(0o444)
    shared_folder.chmod(0o777)
    with as_nobody(), refused("attempt to write a readonly database; change the rights"):
        SqliteStore(path)


def test_a_store_opened_for_reading_is_not_written(filled: Path) -> None:
    """Whoever holds it: a command that answers questions changes nothing."""
    with closing(open_read_only(filled)) as store:
        before = list(dump(store))
        with refused("attempt to write a readonly database"):
            store.claim([0], "one")
        assert list(dump(store)) == before


def test_a_reader_needs_the_folder_too(shared_folder: Path) -> None:
    """In WAL mode it shares an index with writers; SQLite makes its file when nobody else has."""
    path = shared_folder / "sessions.db"
    SqliteStore(path).close()
    shared_folder.chmod(0o555)
    with as_nobody(), refused("cannot open the store .*; change the rights .* and its folder"):
        open_read_only(path)


def test_a_locked_store_is_said(filled: Path) -> None:
    """By whom cannot be known, only that it is another process."""
    with closing(SqliteStore(filled)) as store, closing(sqlite3.connect(filled)) as other:
        store._database.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
        with refused("cannot write the store .*: database is locked; another process"):
            store.commit([], [row("a")], [])
        other.rollback()
        store.commit([], [row("a")], [])


def test_a_full_disk_is_said_and_leaves_nothing(filled: Path) -> None:
    """The batch is rolled back; with room made, the same store goes on."""
    with closing(SqliteStore(filled)) as store:
        before = list(dump(store))
        pages = store._database.execute("PRAGMA page_count").fetchone()[0]
        store._database.execute(f"PRAGMA max_page_count = {pages}")
        rows = [row(f"new {n}", task="x" * 1000) for n in range(100)]
        held = store.claim([0], "two")
        with refused("database or disk is full; make room"):
            store.commit([advance(held[0], 300)], rows, [letter(0, 250)])
        assert list(dump(store)) == before
        store._database.execute("PRAGMA max_page_count = 1000000")
        store.commit([advance(held[0], 300)], rows, [])


def test_a_damaged_file_is_said(filled: Path) -> None:
    """Reading meets it midway; what to do about it is part of the sentence."""
    content = bytearray(filled.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    filled.write_bytes(content)
    with refused("is malformed; it is damaged; fold"), closing(SqliteStore(filled)) as store:
        list(dump(store))


Call = Callable[[SqliteStore], object]

CALLS: list[Call] = [
    lambda store: store.info(),
    lambda store: store.positions(),
    lambda store: list(store.states()),
    lambda store: store.get("a"),
    lambda store: list(store.dead_letters()),
    lambda store: list(dump(store)),
    lambda store: store.claim([0], "one"),
    lambda store: store.commit([], [], []),
    lambda store: store.bind(IDENTITY, {}),
    lambda store: store.attempt([]),
    lambda store: store.accept_gap(Position(partition=0, next_offset=0, owner_epoch=0), 1),
    lambda store: store.gaps(),
    lambda store: store.resolve([], "dropped"),
    lambda store: store.stop("a reason"),
    lambda store: store.resume(),
]


@pytest.mark.parametrize("call", CALLS)
def test_every_call_has_one_kind_of_error(filled: Path, call: Call) -> None:
    """The driver's errors end at the store; here the database is closed under it."""
    store = SqliteStore(filled)
    store.close()
    with pytest.raises(StoreUnusableError, match=r"cannot \w+ the store") as caught:
        call(store)
    assert isinstance(caught.value.__cause__, sqlite3.Error)


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder that every user can enter; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@contextmanager
def as_nobody() -> Iterator[None]:
    """Run the block without root's right to write everywhere, when the tests run as root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(_NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


@contextmanager
def refused(pattern: str) -> Iterator[None]:
    """Expect the error, and that its message is one sentence of one line."""
    with pytest.raises(StoreUnusableError, match=pattern) as caught:
        yield
    assert "\n" not in str(caught.value)
    assert not str(caught.value).endswith(".")


def open_read_only(path: Path) -> SqliteStore:
    """Open a store as the commands that only answer do."""
    return SqliteStore(path, read_only=True)


def change(path: Path, statement: str) -> None:
    """Change a closed store's file behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute(statement)


def versions_of(path: Path) -> tuple[int, int]:
    """Return a closed store's version, and that of the oldest program that can work with it."""
    with closing(sqlite3.connect(path)) as database:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        (oldest,) = database.execute("SELECT compatible_from FROM store_info").fetchone()
        return version, oldest
