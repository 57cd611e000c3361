"""A PostgreSQL server as tests see it: where its databases are, and fresh ones."""

from __future__ import annotations

import uuid
from typing import Any, LiteralString
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

    def administer(self, statement: sql.Composed | LiteralString) -> None:
        """Run a statement that cannot be part of a transaction."""
        with psycopg.connect(self._address, autocommit=True) as connection:
            connection.execute(statement)


def connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """Return a connection; as a context manager it is one transaction, and is closed after it."""
    return psycopg.connect(url)


def query(url: str, statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
    """Run one statement in a connection and transaction of its own; return its rows, if any.

    Raises:
        psycopg.Error: when the server refuses it or cannot be reached.
    """
    with connect(url) as connection:
        cursor = connection.execute(statement, parameters)
        return cursor.fetchall() if cursor.description else []


def database_name(url: str) -> str:
    """Return the name of the database that a URL is of."""
    return urlsplit(url).path.removeprefix("/")
