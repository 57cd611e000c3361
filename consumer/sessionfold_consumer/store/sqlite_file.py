"""The SQLite store's file: opened when it is one of ours, made when it is new, refused otherwise.

A file is ours by its ``application_id``; its ``user_version`` is the newest migration in it.
Nothing is changed in a file before it is known to be ours, its journal mode included.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..errors import StoreUnusableError
from .migrations import Versions, refuse_behind, refuse_other_contract, refuse_unknown
from .sqlite_errors import primary_code, translated
from .sqlite_migrations import APPLICATION_ID, SCHEMA_VERSION, migrate, pragma, versions

_BUSY_SECONDS = 10
_RETRY_SECONDS = 0.01
_CACHE_KIBIBYTES = 16_384
_PAGE_BYTES = 32_768
"""Of new files. The IDs of new sessions are spread all over their index, so a large batch changes
most of its pages, and fewer, larger ones cost less: a fifth of the store's time from 8 KiB."""
# 32 MiB. A checkpoint writes a page once, however often it changed; at SQLite's own 4 MiB each
# batch of a fast run would end in one.
_CHECKPOINT_PAGES = 1_024


def connect(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open the file of a store; create it, or make an empty file one, unless ``read_only``.

    Raises:
        StoreUnusableError: when it is no store of this program, or of another version of it.
        sqlite3.Error: when it cannot be opened, read or (unless ``read_only``) written.
    """
    database = _opened(path, read_only)
    try:
        _prepare(database, path, read_only)
    except BaseException:
        database.close()
        raise
    return database


def migrate_file(path: Path) -> tuple[int, int]:
    """Do what opening does, and return the version that the store had before, and has now.

    Raises:
        StoreUnusableError: when it cannot be opened, or is no store of this program.
    """
    with translated("migrate", path), closing(_opened(path, read_only=False)) as database:
        _is_new(database, path)
        before = versions(database).version
        _prepare(database, path, read_only=False)
        return before, versions(database).version


def file_versions(path: Path) -> Versions:
    """Return the version of a store that this program can work with.

    Raises:
        StoreUnusableError: when it cannot.
    """
    with translated("read", path), closing(connect(path, read_only=True)) as database:
        return versions(database)


@contextmanager
def transaction(database: sqlite3.Connection, begin: str) -> Iterator[None]:
    """Run the block in a transaction; an exception takes back all of it."""
    database.execute(begin)
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _opened(path: Path, read_only: bool) -> sqlite3.Connection:
    _check_path(path, read_only)
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={'ro' if read_only else 'rwc'}",
        uri=True,
        timeout=_BUSY_SECONDS,
        isolation_level=None,  # transactions are begun by name
        check_same_thread=False,
    )


def _check_path(path: Path, read_only: bool) -> None:
    """Refuse what SQLite has no clear word for."""
    try:
        is_folder, is_missing = path.is_dir(), not path.exists()
    except OSError:
        return  # opening it says what is wrong
    if is_folder:
        raise StoreUnusableError(f"{path} is a folder; name a file with --store")
    if is_missing and read_only:
        raise StoreUnusableError(
            f"there is no store at {path}; name one with --store, or make one with: sessionfold run"
        )


def _prepare(database: sqlite3.Connection, path: Path, read_only: bool) -> None:
    with transaction(database, "BEGIN"):
        is_new = _is_new(database, path)
        if read_only and not is_new:
            refuse_behind(str(path), versions(database), SCHEMA_VERSION)
    if is_new and read_only:
        raise StoreUnusableError(
            f"{path} is an empty file and no store yet; name a store with --store, "
            "or make it one with: sessionfold run"
        )
    if not read_only:
        # Changes nothing in a file that has a page already.
        database.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        _use_wal(database)
        database.execute("PRAGMA synchronous = NORMAL")
        # SQLite's own default; some distributions overwrite what an update leaves with zeros.
        database.execute("PRAGMA secure_delete = OFF")
        database.execute(f"PRAGMA cache_size = -{_CACHE_KIBIBYTES}")
        database.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        _migrate(database, path)
    _check_contract(database, path)


def _is_new(database: sqlite3.Connection, path: Path) -> bool:
    """Return whether the file is empty; refuse it when it is neither empty nor ours."""
    application, version = pragma(database, "application_id"), pragma(database, "user_version")
    if application == APPLICATION_ID:
        refuse_unknown(str(path), versions(database), SCHEMA_VERSION)
        return False
    tables = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if application or version or tables:
        raise StoreUnusableError(
            f"{path} is a database of another program; name another file with --store"
        )
    return True


def _use_wal(database: sqlite3.Connection) -> None:
    """Switch to WAL mode. SQLite does not wait here for another that switches, so this does."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if primary_code(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(_RETRY_SECONDS)
        else:
            return


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    """Make a new store, or bring an older one up to date, whole or not at all.

    Of two processes that do so the second finds it done, since it had to wait.
    """
    with transaction(database, "BEGIN IMMEDIATE"):
        if not _is_new(database, path):
            _check_contract(database, path)
        migrate(database, versions(database))
        # Changes nothing, but shows now, and not at the first batch, whether that is allowed.
        database.execute("DELETE FROM store_info WHERE false")


def _check_contract(database: sqlite3.Connection, path: Path) -> None:
    query = "SELECT contract_version, contract_digest FROM store_info"
    version, digest = database.execute(query).fetchone()
    refuse_other_contract(str(path), version, digest)
