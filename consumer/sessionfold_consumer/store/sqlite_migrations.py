"""The migrations of a SQLite store: numbered files of SQL, run when a file is opened to write."""

from __future__ import annotations

import sqlite3

from . import migrations
from .columns import SQLITE
from .migrations import Versions, pending
from .protocol import DeadLetter

APPLICATION_ID = int.from_bytes(b"sfld", "big")
"""Marks a SQLite file as a store of sessionfold."""

SCHEMA_VERSION = 4
"""The newest migration that this program knows."""

CONTRACT_VERSIONS = {1: 1, 2: 1, 3: 1, 4: 2}
"""The version of the contract that a store is shaped by after each migration."""

_FIRST_WITH_COMPATIBLE_FROM = 2


def versions(database: sqlite3.Connection) -> Versions:
    """Return what a store says of the programs that can work with it; version 0 when it is new."""
    version = pragma(database, "user_version")
    if version < _FIRST_WITH_COMPATIBLE_FROM:
        return Versions(version=version, compatible_from=version)
    query = "SELECT compatible_from FROM store_info"
    return Versions(version=version, compatible_from=database.execute(query).fetchone()[0])


def migrate(database: sqlite3.Connection, found: Versions) -> None:
    """Run the migrations that a store lacks. The caller's transaction makes it all or nothing."""
    database.create_function("session_id_of", 1, _session_id_of, deterministic=True)
    for number in pending(found, SCHEMA_VERSION):
        for statement in statements(number):
            database.execute(statement)


def statements(number: int) -> list[str]:
    """Return a migration's statements."""
    return migrations.statements(
        f"sqlite_migration_{number}.sql",
        SQLITE,
        CONTRACT_VERSIONS[number],
        application_id=str(APPLICATION_ID),
        schema_version=str(number),
    )


def _session_id_of(key: bytes | None) -> str | None:
    """Return the session that a dead letter of this key belongs to."""
    return DeadLetter(
        partition=0, offset=0, timestamp=0, key=key, value=None, headers=(), reason="", detail=""
    ).session_id


def pragma(database: sqlite3.Connection, name: str) -> int:
    """Return a number that is kept in the file's header."""
    value: int = database.execute(f"PRAGMA {name}").fetchone()[0]
    return value
