"""A SQLite store for a contract that is tried and was never published."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sessionfold_schemas import current

from ..state import state_columns
from . import sql
from .columns import SQLITE, state_definitions
from .migrations import GENERATIONS
from .sqlite import SqliteStore
from .sqlite_file import migrate_file, transaction


def make_scratch(path: Path) -> SqliteStore:
    """Make a store of this process's current contract, whichever that is, in a new file.

    Raises:
        StoreUnusableError: when it cannot be made.
    """
    migrate_file(path)
    statements = sql.statements(
        "sqlite_scratch.sql",
        state_columns=",\n    ".join(state_definitions(SQLITE, state_columns())),
        contract_version=str(current().version),
        contract_digest=current().digest,
    )
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as database,
        transaction(database, "BEGIN"),
    ):
        for text in statements.values():
            for generation in GENERATIONS if "{generation}" in text else GENERATIONS[:1]:
                database.execute(text.replace("{generation}", generation))
    return SqliteStore(path)
