"""A migration that has run on people's stores stays what it was, whatever the contract becomes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import pytest

from sessionfold_consumer.store import postgres_migrations, sqlite_migrations

SQLITE = {
    1: "133906071a71e90e",
    2: "8aa1e4db9642eb6c",
    3: "b2072c57e12e0645",
    4: "aff53bad5d296e76",
}
POSTGRES = {1: "61e6c0c223ef4489", 2: "1b82e70529a61732", 3: "7878be76aeaaef52"}
"""For each migration the beginning of its digest. A new one adds a line; none is changed."""

_NEW_IDS = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@pytest.mark.parametrize(
    ("statements", "number", "digest"),
    [
        *((sqlite_migrations.statements, *each) for each in SQLITE.items()),
        *((postgres_migrations.statements, *each) for each in POSTGRES.items()),
    ],
)
def test_a_migration_stays_as_it_was(
    statements: Callable[[int], list[str]], number: int, digest: str
) -> None:
    """With its comments, columns, and the contract that it marks the store with."""
    text = _NEW_IDS.sub("an ID", "\n".join(statements(number)))
    assert hashlib.sha256(text.encode()).hexdigest().startswith(digest)


def test_every_migration_is_among_them() -> None:
    """Who adds one adds its digest."""
    assert max(SQLITE) == sqlite_migrations.SCHEMA_VERSION
    assert max(POSTGRES) == postgres_migrations.SCHEMA_VERSION
