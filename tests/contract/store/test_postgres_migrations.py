"""The PostgreSQL store is made and migrated by its owner; a service's role defines nothing."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import LiteralString

import psycopg
import pytest
from psycopg import sql

from sessionfold_consumer.errors import StoreUnusableError
from sessionfold_consumer.store import migrate_store, open_store, store_versions
from sessionfold_consumer.store.postgres_migrations import SCHEMA_VERSION
from tests.contract.store.stores import IDENTITY, advance, letter, row
from tests.services.postgres_databases import query

_NEEDED: tuple[LiteralString, ...] = (
    "GRANT USAGE ON SCHEMA sessionfold TO {role}",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA sessionfold TO {role}",
)
"""What docs/operations.md grants to a service's role."""


@pytest.fixture
def role(database: str) -> Iterator[str]:
    """A role that may log in and nothing else."""
    name = "service_" + database.rpartition("_")[2]
    define(database, name, "CREATE ROLE {role} LOGIN")
    yield name
    define(database, name, "DROP OWNED BY {role}", "DROP ROLE {role}")


def test_migrating_makes_a_store_once(database: str) -> None:
    """A second time nothing is to be done, and the store is the same."""
    assert migrate_store(database) == (0, SCHEMA_VERSION)
    with closing(open_store(database)) as store:
        store_id = store.info().store_id
    assert migrate_store(database) == (SCHEMA_VERSION, SCHEMA_VERSION)
    with closing(open_store(database)) as store:
        assert store.info().store_id == store_id


def test_of_many_that_migrate_at_once_one_does(database: str) -> None:
    """All of a fleet may be started with the same command."""
    with ThreadPoolExecutor(8) as pool:
        answers = sorted(pool.map(migrate_store, [database] * 8))
    assert answers == [(0, SCHEMA_VERSION)] + [(SCHEMA_VERSION, SCHEMA_VERSION)] * 7


@pytest.mark.parametrize("read_only", [True, False])
def test_an_empty_database_is_no_store(database: str, read_only: bool) -> None:
    """Nothing is made without being asked for; the message says how to ask."""
    with pytest.raises(StoreUnusableError, match=r"make one.*sessionfold store migrate"):
        open_store(database, read_only=read_only)
    with pytest.raises(StoreUnusableError, match="there is no store"):
        store_versions(database)


def test_a_migration_that_fails_leaves_nothing(database: str) -> None:
    """Here on something of that name that is there already."""
    query(database, "CREATE SCHEMA sessionfold")
    query(database, "CREATE TABLE sessionfold.gaps_b ()")
    with pytest.raises(StoreUnusableError, match=r'cannot migrate the store .*"gaps_b" already'):
        migrate_store(database)
    query(database, "DROP TABLE sessionfold.gaps_b")
    assert migrate_store(database) == (0, SCHEMA_VERSION)


def test_a_database_of_another_encoding_is_refused(database: str) -> None:
    """Session IDs and texts are any Unicode."""
    name = database.rpartition("/")[2] + "_latin1"
    with psycopg.connect(database, autocommit=True) as connection:
        create = sql.SQL("CREATE DATABASE {} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
        connection.execute(create.format(sql.Identifier(name)))
        with pytest.raises(StoreUnusableError, match="encoding LATIN1, a store needs UTF8"):
            migrate_store(f"{database}_latin1")
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))


def test_a_role_without_rights_to_define_runs_a_service(database: str, role: str) -> None:
    """With what the docs grant it does all that a service and the commands do."""
    migrate_store(database)
    define(database, role, *_NEEDED)
    with closing(open_store(as_role(database, role))) as store:
        store.bind(IDENTITY, dict.fromkeys(range(3), 0))
        held = store.claim([0, 1], "one")
        store.attempt([held[0]])
        store.spare([held[0]])
        store.commit([advance(held[0], 6)], [row(), row("b")], [letter(0, 5)])
        store.accept_gap(held[1], 3)
        store.resolve([letter(0, 5)], "retried", [row(offset=5)])
        store.stop("for a test")
        store.resume()
        with store.snapshot():
            assert len([*store.states()]) == 2
    assert store_versions(as_role(database, role)).version == SCHEMA_VERSION
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        query(as_role(database, role), "CREATE TABLE sessionfold.mine ()")


def test_a_role_without_rights_is_told_so(database: str, role: str) -> None:
    """The sentence says what is missing and where the grants are."""
    migrate_store(database)
    with pytest.raises(StoreUnusableError, match=r"permission denied.*docs/operations\.md"):
        open_store(as_role(database, role))
    with pytest.raises(StoreUnusableError, match=r"cannot migrate.*permission denied"):
        migrate_store(as_role(database, role))


def test_a_store_of_another_contract_is_refused(database: str) -> None:
    """Its columns mean something else."""
    migrate_store(database)
    query(database, "UPDATE sessionfold.store_info SET contract_digest = 'x'")
    for attempt in (open_store, migrate_store, store_versions):
        with pytest.raises(StoreUnusableError, match="version 2 of the contract"):
            attempt(database)


def test_an_upgrade_goes_one_service_after_another(database: str) -> None:
    """Expand: an older program goes on with a newer store that only has more. Contract: not now.

    The newer program is played by its migrations: a table and a column more, then a column less.
    """
    migrate_store(database)
    with closing(open_store(database)) as running:
        running.bind(IDENTITY, dict.fromkeys(range(3), 0))
        held = running.claim([0, 1, 2], "old")
        query(database, "ALTER TABLE sessionfold.session_state_a ADD COLUMN mood text")
        query(database, "ALTER TABLE sessionfold.positions_a ADD COLUMN rack text")
        query(database, "UPDATE sessionfold.store_info SET version = version + 1")
        query(database, "UPDATE sessionfold.store_info SET contract_version = contract_version + 1")
        query(database, "UPDATE sessionfold.store_info SET contract_digest = 'unknown'")
        running.commit([advance(held[0], 1)], [row("running")], [])
        with closing(open_store(database)) as restarted:
            held = restarted.claim([0], "old, restarted")
            restarted.commit([advance(held[0], 2)], [row("restarted", offset=1)], [])
            assert [state["session_id"] for state in restarted.states()] == ["restarted", "running"]
    assert migrate_store(database) == (SCHEMA_VERSION + 1, SCHEMA_VERSION + 1)
    query(database, "ALTER TABLE sessionfold.session_state_a DROP COLUMN task CASCADE")
    query(database, "UPDATE sessionfold.store_info SET compatible_from = version")
    for attempt in (open_store, migrate_store, store_versions):
        with pytest.raises(StoreUnusableError, match="upgrade sessionfold"):
            attempt(database)


def define(database: str, role: str, *statements: LiteralString) -> None:
    """Run statements that name a role."""
    with psycopg.connect(database, autocommit=True) as connection:
        for statement in statements:
            connection.execute(sql.SQL(statement).format(role=sql.Identifier(role)))


def as_role(database: str, role: str) -> str:
    """Return the URL by which a role comes to a database."""
    return database.replace("//postgres@", f"//{role}@")
