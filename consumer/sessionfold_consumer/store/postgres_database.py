"""A connection to PostgreSQL that is made anew when it was lost, and the address it goes to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import count
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus
from psycopg.sql import SQL

from ..errors import ConfigurationError, StoreUnusableError
from .postgres_answers import answered_in_time
from .postgres_errors import translated

_OLDEST = 140_000
_FETCH_ROWS = 2_000

_PARAMETERS: Mapping[str, str | int] = {
    "application_name": "sessionfold",
    "connect_timeout": 10,
    # A server whose machine is gone sends no farewell: half a minute, instead of two hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 30_000,
}
_SETTINGS: Mapping[str, str] = {
    "lock_timeout": "10s",
    # A process that is frozen within a transaction holds its positions, which others wait for.
    "idle_in_transaction_session_timeout": "10s",
    "client_encoding": "UTF8",
}

Values = Sequence[Any] | Mapping[str, Any]


class Database:
    """One connection at a time; it belongs to one thread.

    Args:
        url: ``postgresql://user@host:port/database``; any parameter of libpq may follow.
        read_only: the server refuses to write anything by it.

    Raises:
        ConfigurationError: when the URL is none of PostgreSQL.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.name = display_name(url)
        self._url = url
        self._read_only = read_only
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._cursors = count()

    def connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        """Return the connection; make one when there is none, or it was lost.

        Raises:
            psycopg.Error: when none can be made.
            StoreUnusableError: when the server is too old.
        """
        if self._connection is not None and self._connection.closed:
            self._connection = None
        if self._connection is None:
            self._connection = self._connected()
        return self._connection

    def execute(self, statement: str, values: Values = ()) -> psycopg.Cursor[tuple[Any, ...]]:
        """Run a statement of one of our files."""
        connection = self.connection()
        with answered_in_time(connection.fileno(), self.name):
            return connection.execute(SQL(statement), values or None)

    def stream(self, statement: str, values: Values = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query, of which this process holds only some at a time.

        The server keeps the answer, as it was at the first row, so nothing is locked meanwhile.
        """
        name = f"rows_{next(self._cursors)}"
        with self.connection().cursor(name, withhold=True) as cursor:
            cursor.itersize = _FETCH_ROWS
            cursor.execute(SQL(statement), values or None)
            yield from cursor

    @contextmanager
    def transaction(self, kind: str = "") -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Run the block in a transaction; an exception takes back all of it.

        When ``COMMIT`` has no answer, what became of it is not known here.
        """
        connection = self.connection()
        connection.execute(SQL(f"BEGIN {kind}"))
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            _take_back(connection)
            raise

    @contextmanager
    def writing(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Run the block in a transaction that has to be done in time."""
        with (
            answered_in_time(self.connection().fileno(), self.name),
            self.transaction() as connection,
        ):
            yield connection

    def translated(self, action: str) -> AbstractContextManager[None]:
        """Raise psycopg's errors in the block as a store's; ``action`` is a verb of the message."""
        return translated(action, self.name)

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()

    def _connected(self) -> psycopg.Connection[tuple[Any, ...]]:
        parameters: dict[str, Any] = {**_PARAMETERS, **conninfo_to_dict(self._url)}
        connection = psycopg.connect(autocommit=True, **parameters)
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        if connection.info.server_version < _OLDEST:
            found = connection.info.parameter_status("server_version")
            raise StoreUnusableError(
                f"the store {self.name} is on PostgreSQL {found}, sessionfold needs "
                f"{_OLDEST // 10_000} or newer; upgrade the server"
            )
        settings = dict(_SETTINGS)
        if self._read_only:
            settings["default_transaction_read_only"] = "on"
        for name, value in settings.items():
            connection.execute("SELECT set_config(%s, %s, false)", (name, value))


def _take_back(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Roll back; a connection that cannot be used after that is given up.

    One that was lost within ``executemany`` stays in pipeline mode: psycopg does not call it
    closed, and refuses every statement from then on.
    """
    with suppress(psycopg.Error):
        connection.execute("ROLLBACK")
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        connection.close()


def display_name(url: str) -> str:
    """Return a store's URL for messages and logs: host, port and database, no user, no password.

    Raises:
        ConfigurationError: when it is none of PostgreSQL.
    """
    try:
        found = conninfo_to_dict(url)
    except psycopg.Error:
        # Its words repeat parts of the URL, which may hold a password; so they are not shown.
        raise ConfigurationError(
            "the store URL cannot be read; write it as postgresql://USER@HOST:PORT/DATABASE, with "
            "%40 for @, %3A for : and %2F for / in names"
        ) from None
    host = found.get("host") or found.get("hostaddr") or ""
    port = f":{found['port']}" if found.get("port") else ""
    return f"postgresql://{host}{port}/{found.get('dbname') or ''}"
