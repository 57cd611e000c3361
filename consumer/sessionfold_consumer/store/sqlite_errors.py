"""SQLite's errors, as the errors of a store: what it was about, and what to do."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import StoreBusyError, StoreUnusableError

_PASSING = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL}

_ADVICE = {
    sqlite3.SQLITE_BUSY: "another process has held it locked for too long; stop it, or try again",
    sqlite3.SQLITE_CANTOPEN: "it must be a file in a folder that exists, both writable",
    sqlite3.SQLITE_CORRUPT: "it is damaged; fold the topic into a new store (another --store)",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_NOTADB: "name a store with --store",
    sqlite3.SQLITE_PERM: "change its rights or its owner",
    sqlite3.SQLITE_READONLY: "change the rights or the owner of the file and its folder",
}
_OTHER_ADVICE = "check its disk; what was committed before is right"


@contextmanager
def translated(action: str, path: Path) -> Iterator[None]:
    """Raise SQLite's errors in the block as a store's.

    Args:
        action: what the block does, as a verb of the message.
        path: the store's file.
    """
    try:
        yield
    except sqlite3.Error as error:
        advice = _ADVICE.get(primary_code(error), _OTHER_ADVICE)
        kind = StoreBusyError if primary_code(error) in _PASSING else StoreUnusableError
        raise kind(f"cannot {action} the store {path}: {error}; {advice}") from error


def primary_code(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code (the low byte of the extended one), 0 for none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
