"""The migrations of a PostgreSQL store: numbered files of SQL, run by ``store migrate``.

A service runs none: its role needs no right to define anything (see docs/operations.md).
"""

from __future__ import annotations

from contextlib import closing

from ..errors import StoreUnusableError
from . import migrations
from .columns import POSTGRES
from .migrations import (
    Versions,
    pending,
    refuse_behind,
    refuse_other_contract,
    refuse_unknown,
)
from .postgres_database import Database

SCHEMA_VERSION = 3
"""The newest migration that this program knows."""

CONTRACT_VERSIONS = {1: 1, 2: 1, 3: 2}
"""The version of the contract that a store is shaped by after each migration."""

_LOCK = int.from_bytes(b"sfld", "big")
"""The advisory lock of who migrates: of two that do, the second finds it done."""


def migrate_database(url: str) -> tuple[int, int]:
    """Run the migrations that a store lacks, all or none; return its version before and after.

    Raises:
        ConfigurationError: when the URL is none of PostgreSQL.
        StoreUnusableError: when it cannot be migrated, or needs a newer program.
    """
    with closing(Database(url)) as database, database.translated("migrate"):
        with database.transaction():
            database.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            found = versions(database)
            refuse_unknown(database.name, found, SCHEMA_VERSION)
            if found.version:
                check_contract(database)
            else:
                _refuse_encoding(database)
            for number in pending(found, SCHEMA_VERSION):
                for statement in statements(number):
                    database.execute(statement)
        return found.version, versions(database).version


def database_versions(url: str) -> Versions:
    """Return the version of a store that this program can work with.

    Raises:
        ConfigurationError: when the URL is none of PostgreSQL.
        StoreUnusableError: when it cannot.
    """
    with closing(Database(url, read_only=True)) as database, database.translated("read"):
        return check(database)


def check(database: Database) -> Versions:
    """Return the versions of a store; refuse one that this program cannot work with.

    Raises:
        StoreUnusableError: when there is none, it is too old or new, or of another contract.
        psycopg.Error: when it cannot be read.
    """
    found = versions(database)
    if not found.version:
        raise StoreUnusableError(
            f"there is no store in {database.name}; make one, as a role that may create a schema, "
            "with: sessionfold store migrate"
        )
    refuse_unknown(database.name, found, SCHEMA_VERSION)
    refuse_behind(database.name, found, SCHEMA_VERSION)
    check_contract(database)
    return found


def versions(database: Database) -> Versions:
    """Return what a store says of the programs that can work with it; version 0 for none."""
    (table,) = database.execute("SELECT to_regclass('sessionfold.store_info')").fetchall()[0]
    if table is None:
        return Versions(version=0, compatible_from=0)
    query = "SELECT version, compatible_from FROM sessionfold.store_info"
    ((version, compatible_from),) = database.execute(query).fetchall()
    return Versions(version=version, compatible_from=compatible_from)


def check_contract(database: Database) -> None:
    """Refuse a store that was folded with another version of the contract."""
    query = "SELECT contract_version, contract_digest FROM sessionfold.store_info"
    ((version, digest),) = database.execute(query).fetchall()
    refuse_other_contract(database.name, version, digest)


def statements(number: int) -> list[str]:
    """Return a migration's statements."""
    return migrations.statements(
        f"postgres_migration_{number}.sql",
        POSTGRES,
        CONTRACT_VERSIONS[number],
        schema_version=str(number),
    )


def _refuse_encoding(database: Database) -> None:
    ((encoding,),) = database.execute("SHOW server_encoding").fetchall()
    if encoding != "UTF8":
        raise StoreUnusableError(
            f"the database of {database.name} has the encoding {encoding}, a store needs UTF8; "
            "create one with: CREATE DATABASE name ENCODING 'UTF8' TEMPLATE template0"
        )
