"""A store on PostgreSQL, and a service over it that does not take its time."""

from __future__ import annotations

import pytest

from sessionfold_consumer import patience
from sessionfold_consumer.store import migrate_store
from tests.services.postgres import PostgresServer


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database or broker that was away is soon asked again."""
    monkeypatch.setattr(patience, "_FIRST_SECONDS", 0.01)
    monkeypatch.setattr(patience, "_LONGEST_SECONDS", 0.2)


@pytest.fixture
def url(database: str) -> str:
    """The URL of an empty store on the PostgreSQL of all tests."""
    migrate_store(database)
    return database


@pytest.fixture
def own_url(own_postgres: PostgresServer) -> str:
    """An empty store on a server of the test's own."""
    made = own_postgres.create_database()
    migrate_store(made)
    return made
