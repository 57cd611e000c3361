"""Opening a store for a command that changes it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from ..store import SessionStore, open_store


@contextmanager
def existing_store(url: str) -> Iterator[SessionStore]:
    """Open a store that is there, to change it; for a mistyped name no new one is made."""
    open_store(url, read_only=True).close()
    with closing(open_store(url)) as store:
        yield store
