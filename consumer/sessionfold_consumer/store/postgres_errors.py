"""PostgreSQL's errors, as the errors of a store: what it was about, and what to do.

What can pass by itself (the server is away, a lock is held for long, a disk is full) is told from
what cannot by the SQLSTATE, whose classes are listed in the manual's appendix "Error Codes". An
error without one is that of a connection that could not be made or was lost.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ..errors import StoreBusyError, StoreUnusableError

_PASSING_CLASSES = {
    "08",  # connection exception
    "40",  # transaction rollback: deadlock, serialization failure
    "53",  # insufficient resources: disk full, too many connections
    "57",  # operator intervention: shutdown, cancelled
    "58",  # system error outside of PostgreSQL
}
_PASSING = {
    "25006",  # read-only transaction: a standby that is about to take over
    "25P03",  # idle in transaction for too long: this process was frozen
    "25P04",  # transaction for too long, likewise
    "55P03",  # a lock was not to be had in time
}
_ADVICE = {
    "3D": "name a database that exists in the store URL, or create it",
    "28": "check the user in the store URL, and PGPASSWORD or the password file",
    "42501": "grant it to this role: see docs/operations.md",
    "42P01": "the store was changed by hand or not migrated; see: sessionfold store check",
}
_LOST = "see that the server runs and can be reached from here"
_OTHER = "see the server's log; what was committed before is right"


@contextmanager
def translated(action: str, name: str) -> Iterator[None]:
    """Raise psycopg's errors in the block as a store's.

    Args:
        action: what the block does, as a verb of the message.
        name: the store's name, without a password.
    """
    try:
        yield
    except psycopg.Error as error:
        problem = error.diag.message_primary or str(error).strip().split("\n")[0]
        kind = StoreBusyError if is_passing(error) else StoreUnusableError
        raise kind(f"cannot {action} the store {name}: {problem}; {_advice(error)}") from error


def is_passing(error: psycopg.Error) -> bool:
    """Return whether the same may succeed later without anybody's doing."""
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state[:2] in _PASSING_CLASSES or state in _PASSING


def _advice(error: psycopg.Error) -> str:
    state = error.sqlstate
    if state is None or state[:2] in ("08", "57"):
        return _LOST
    return _ADVICE.get(state) or _ADVICE.get(state[:2], _OTHER)
