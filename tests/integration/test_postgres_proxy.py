"""The proxy in front of PostgreSQL loses what it is told to, once, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.services.postgres import OperationalError, connect, query
from tests.services.postgres_proxy import PostgresProxy

pytestmark = pytest.mark.postgres

LONG = "x" * 200_000


@pytest.fixture
def proxy(database: str) -> Iterator[PostgresProxy]:
    """A proxy in front of a database with one table."""
    query(database, "CREATE TABLE kept (value text)")
    with PostgresProxy(database) as standing:
        yield standing


def kept(database: str) -> list[str]:
    """Return what was committed, asked without the proxy."""
    return [value for (value,) in query(database, "SELECT value FROM kept ORDER BY value")]


def insert(proxy: PostgresProxy, value: str) -> None:
    """Write a value through the proxy, in a transaction."""
    query(proxy.url, "INSERT INTO kept VALUES (%s)", value)


def insert_each(proxy: PostgresProxy, values: Sequence[str]) -> None:
    """Write values through the proxy, each in a transaction, by one connection."""
    with connect(proxy.url) as connection:
        connection.autocommit = True
        for value in values:
            connection.execute("BEGIN")
            connection.execute("INSERT INTO kept VALUES (%s)", (value,))
            connection.execute("COMMIT")


def test_it_passes_on_what_it_is_not_told_to_lose(proxy: PostgresProxy, database: str) -> None:
    """Messages longer than what is read at once, too; a COMMIT in a value is a value."""
    for value in (LONG, "a; COMMIT", "COMMIT"):
        insert(proxy, value)
    assert sorted(kept(database)) == sorted([LONG, "a; COMMIT", "COMMIT"])
    assert query(proxy.url, "SELECT %s", LONG) == [(LONG,)]
    query(proxy.url, "CREATE TEMPORARY TABLE passing (value text) ON COMMIT DROP")
    assert (proxy.commits, proxy.lost) == (5, {})


def test_a_lost_answer_is_of_a_commit_that_was_done(proxy: PostgresProxy, database: str) -> None:
    """The second from then on: the client is cut off, the row is there, the third is well."""
    proxy.lose("answer", nth=2)
    insert(proxy, "1")
    with pytest.raises(OperationalError):
        insert(proxy, "2")
    assert kept(database) == ["1", "2"]
    insert(proxy, "3")
    assert kept(database) == ["1", "2", "3"]
    assert (proxy.commits, proxy.lost) == (3, {"answer": 1})


def test_a_commit_that_the_client_has_prepared_is_one(proxy: PostgresProxy, database: str) -> None:
    """Clients prepare what they run often, and no longer send its text."""
    proxy.lose("answer", nth=9)
    with pytest.raises(OperationalError):
        insert_each(proxy, [*"0123456789"])
    assert kept(database) == [*"012345678"]
    assert (proxy.commits, proxy.lost) == (9, {"answer": 1})


def test_a_lost_commit_is_not_done(proxy: PostgresProxy, database: str) -> None:
    """The client is cut off in the same way, and the row is not there."""
    proxy.lose("commit")
    with pytest.raises(OperationalError):
        insert(proxy, "1")
    insert(proxy, "2")
    assert kept(database) == ["2"]
    assert (proxy.commits, proxy.lost) == (2, {"commit": 1})


def test_a_late_commit_is_done_after_its_client_was_cut_off(
    proxy: PostgresProxy, database: str
) -> None:
    """Who asks at once finds nothing; who waits for the row's lock finds it."""
    insert(proxy, "0")
    proxy.lose("late")
    with pytest.raises(OperationalError):
        query(proxy.url, "UPDATE kept SET value = '1'")
    assert kept(database) == ["0"]
    query(database, "UPDATE kept SET value = value || ' and more'")
    assert kept(database) == ["1 and more"]
    assert proxy.lost == {"late": 1}


def test_the_lost_answer_of_a_failed_transaction_does_not_count(proxy: PostgresProxy) -> None:
    """Nothing was done that could be unknown; the client is cut off all the same."""
    proxy.lose("answer")
    with pytest.raises(OperationalError):
        query(proxy.url, "SELECT 1/0; COMMIT")
    assert (proxy.commits, proxy.lost["answer"]) == (1, 0)


def test_while_it_is_cut_nobody_comes_through(proxy: PostgresProxy, database: str) -> None:
    """Until it is healed."""
    proxy.cut()
    with pytest.raises(OperationalError):
        insert(proxy, "1")
    proxy.heal()
    insert(proxy, "2")
    assert kept(database) == ["2"]
