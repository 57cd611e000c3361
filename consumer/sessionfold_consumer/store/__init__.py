"""Stores: one protocol, one file for each kind of database."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..errors import ConfigurationError
from .dump import dump, dump_lines, letter_fields, letter_from
from .memory import MemoryStore
from .memory_shadow import MemoryShadow
from .migrations import Versions
from .protocol import (
    FATAL_REASON,
    Advance,
    DeadLetter,
    Gap,
    Generation,
    LetterStatus,
    Position,
    Selection,
    SessionStore,
    SetAside,
    ShadowStatus,
    Status,
    StoreInfo,
    TopicIdentity,
)
from .shadow import Pair, Range, ShadowStore

__all__ = [
    "FATAL_REASON",
    "Advance",
    "DeadLetter",
    "Gap",
    "Generation",
    "LetterStatus",
    "MemoryShadow",
    "MemoryStore",
    "Pair",
    "Position",
    "Range",
    "Selection",
    "SessionStore",
    "SetAside",
    "ShadowStatus",
    "ShadowStore",
    "Status",
    "StoreInfo",
    "TopicIdentity",
    "Versions",
    "dump",
    "dump_lines",
    "has_password",
    "is_postgres",
    "letter_fields",
    "letter_from",
    "migrate_store",
    "open_shadow",
    "open_store",
    "sqlite_path",
    "store_name",
    "store_versions",
]


def open_store(url: str, *, read_only: bool = False) -> SessionStore:
    """Open the store that a URL names. A SQLite file is created unless ``read_only``.

    Raises:
        ConfigurationError: when the URL names no kind of store that there is.
        StoreUnusableError: when the store cannot be used.
    """
    if is_postgres(url):
        from .postgres import PostgresStore

        return PostgresStore(url, read_only=read_only)
    from .sqlite import SqliteStore

    return SqliteStore(sqlite_path(url), read_only=read_only)


def open_shadow(url: str) -> ShadowStore:
    """Open the generation of a store that is not live, to write to it.

    Raises:
        ConfigurationError: when the URL names no kind of store that there is.
        StoreUnusableError: when the store cannot be used.
    """
    if is_postgres(url):
        from .postgres_shadow import PostgresShadow

        return PostgresShadow(url)
    from .sqlite_shadow import SqliteShadow

    return SqliteShadow(sqlite_path(url))


def migrate_store(url: str) -> tuple[int, int]:
    """Run the migrations that a store lacks; return its version before and after.

    An empty or missing SQLite file, or an empty database, becomes a store; its version before is 0.

    Raises:
        ConfigurationError: when the URL names no kind of store that there is.
        StoreUnusableError: when it cannot be migrated, or needs a newer program.
    """
    if is_postgres(url):
        from .postgres_migrations import migrate_database

        return migrate_database(url)
    from .sqlite_file import migrate_file

    return migrate_file(sqlite_path(url))


def store_versions(url: str) -> Versions:
    """Return the version of a store, and that of the oldest program that can work with it.

    Raises:
        ConfigurationError: when the URL names no kind of store that there is.
        StoreUnusableError: when this program cannot work with it.
    """
    if is_postgres(url):
        from .postgres_migrations import database_versions

        return database_versions(url)
    from .sqlite_file import file_versions

    return file_versions(sqlite_path(url))


def store_name(url: str) -> str:
    """Return what a store is called in messages: a file, or a URL without user and password.

    Raises:
        ConfigurationError: when the URL names no kind of store that there is.
    """
    if is_postgres(url):
        from .postgres_database import display_name

        return display_name(url)
    return str(sqlite_path(url))


def is_postgres(url: str) -> bool:
    """Return whether a URL names a store on PostgreSQL, by its scheme."""
    return url.partition(":")[0].lower() in ("postgresql", "postgres")


def has_password(url: str) -> bool:
    """Return whether a store's URL holds a password, in whatever place; never raises."""
    if "password=" in url.lower():
        return True
    try:
        return urlsplit(url).password is not None
    except ValueError:
        return "@" in url


def sqlite_path(url: str) -> Path:
    """Return the file that ``sqlite:///relative.db`` or ``sqlite:////absolute.db`` names.

    Raises:
        ConfigurationError: when the URL is of another kind, or names no file.
    """
    scheme, colon, rest = url.partition(":")
    if scheme.lower() != "sqlite" or not colon:
        # Not the whole URL: it may hold a password.
        raise ConfigurationError(
            f"the store URL begins with {scheme!r}; it must be "
            "sqlite:///FILE (relative), sqlite:////FILE (absolute) or "
            "postgresql://USER@HOST:PORT/DATABASE"
        )
    file = unquote(rest.removeprefix("///"))
    if not rest.startswith("///") or not file.strip("/") or "\0" in file:
        raise ConfigurationError(
            "a sqlite URL has three slashes and a file, as in sqlite:///sessions.db, "
            "or four for an absolute path"
        )
    if "?" in rest or "#" in rest:
        raise ConfigurationError(
            "a sqlite URL has no options; in a file's name write %3F for ? and %23 for #"
        )
    return Path(file)
