"""A PostgreSQL server as tests see it: its databases, fresh ones, and traps in them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql


class Postgres:
    """A server that somebody runs.

    Args:
        address: the URL of any of its databases, with a user who may create others.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def url(self, database: str) -> str:
        """Return the URL of one of its databases, whether there or not."""
        return urlunsplit(urlsplit(self._address)._replace(path=f"/{database}"))

    def create_database(self) -> str:
        """Create an empty database whose name nobody else has, and return its URL."""
        name = f"test_{uuid.uuid4().hex}"
        self.administer(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, and whoever is connected to it. Nothing happens if there is none."""
        self.administer(
            sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
        )

    def administer(self, statement: sql.Composed | str) -> None:
        """Run a statement that cannot be part of a transaction."""
        with psycopg.connect(self._address, autocommit=True) as connection:
            connection.execute(statement)


def connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Return a connection; as a context manager it is one transaction, and is closed after it."""
    return psycopg.connect(url)


def query(url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a statement in a connection and transaction of its own; return its rows, if any.

    Raises:
        psycopg.Error: when the server refuses it or cannot be reached.
    """
    with connect(url) as connection:
        cursor = connection.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description else []


@dataclass(frozen=True, kw_only=True)
class Trap:
    """Makes a database fail what is written to one of its tables, now and then; see :meth:`set`."""

    url: str
    every: int

    @classmethod
    def set(cls, url: str, table: str, action: str, *, every: int, at_commit: bool = False) -> Self:
        """Run an action for each so many-th row that is written to a table.

        Args:
            url: the database.
            table: its name, with that of its schema.
            action: a statement of PL/pgSQL.
            every: of so many rows one springs the trap.
            at_commit: run it when the row's transaction commits instead of when it is written.
        """
        schema, _, name = table.partition(".")
        when = sql.SQL(_AT_COMMIT if at_commit else _AT_ONCE).format(sql.Identifier(schema, name))
        with connect(url) as connection:
            connection.execute("CREATE SEQUENCE public.trap_calls")
            connection.execute(_function(action, every))
            connection.execute(when)
        return cls(url=url, every=every)

    def sprung(self) -> int:
        """Return how often the action was run; rolled back or not."""
        ((calls, is_called),) = query(self.url, "SELECT last_value, is_called FROM trap_calls")
        return calls // self.every if is_called else 0

    def remove(self) -> None:
        """Let the database be as before."""
        query(self.url, "DROP FUNCTION public.trap CASCADE")


_AT_ONCE = "CREATE TRIGGER trap BEFORE INSERT OR UPDATE ON {} FOR EACH ROW EXECUTE FUNCTION trap()"
_AT_COMMIT = (
    "CREATE CONSTRAINT TRIGGER trap AFTER INSERT OR UPDATE ON {} "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION trap()"
)


def _function(action: str, every: int) -> str:
    # A sequence counts what is rolled back, too. The definer's: roles of a test have few rights.
    return (
        "CREATE FUNCTION public.trap() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ "
        f"BEGIN IF nextval('public.trap_calls') % {every} = 0 THEN {action}; END IF; "
        "RETURN NEW; END $$"
    )


def with_user(url: str, user: str) -> str:
    """Return the same URL, but for another user."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.hostname}:{parts.port}"))


def database_name(url: str) -> str:
    """Return the name of the database that a URL is of."""
    return urlsplit(url).path.removeprefix("/")
