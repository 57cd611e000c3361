"""Which store a URL names."""

from __future__ import annotations

import traceback
from contextlib import closing
from pathlib import Path

import pytest

from sessionfold_consumer.errors import ConfigurationError
from sessionfold_consumer.store import open_store, sqlite_path
from sessionfold_consumer.store.postgres_database import display_name


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///sessions.db", "sessions.db"),
        ("sqlite:///folder/sessions.db", "folder/sessions.db"),
        ("sqlite:////var/lib/sessions.db", "/var/lib/sessions.db"),
        ("SQLite:///sessions.db", "sessions.db"),
        ("sqlite:///a%20b%3F%23%25.db", "a b?#%.db"),
        ("sqlite:///é.db", "é.db"),
        ("sqlite:///:memory:", ":memory:"),
        ("sqlite:///[a].db", "[a].db"),
    ],
)
def test_three_slashes_are_relative_and_four_absolute(url: str, path: str) -> None:
    """As in other tools that name SQLite files by URL."""
    assert sqlite_path(url) == Path(path)


@pytest.mark.parametrize(
    "url",
    [
        *("sqlite://sessions.db", "sqlite:sessions.db", "sqlite:///", "sqlite:////", "sqlite:"),
        *("sqlite://host/sessions.db", "sqlite:///a%00b"),
    ],
)
def test_a_url_without_a_file_is_refused(url: str) -> None:
    """Two slashes name a host; the message shows the right form."""
    with pytest.raises(ConfigurationError, match="three slashes and a file, as in sqlite:///s"):
        sqlite_path(url)


@pytest.mark.parametrize("url", ["sqlite:///a.db?mode=ro", "sqlite:///a#1.db"])
def test_options_are_refused(url: str) -> None:
    """Dropped silently, they would name another file, or promise what is not done."""
    with pytest.raises(ConfigurationError, match="no options; in a file's name write %3F"):
        sqlite_path(url)


@pytest.mark.parametrize(
    "url", ["mysql://me:secret@db/x", "mysql://me:secret@[db/x", "sessions.db", ""]
)
def test_an_unknown_kind_is_refused(url: str) -> None:
    """The message names the kind and the right form, and never a password."""
    with pytest.raises(ConfigurationError, match="it must be sqlite:///FILE") as caught:
        open_store(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["postgresql://me:secret@[db/x", "postgres://me:secret@db/x?secret", "postgresql:secret"]
)
def test_a_postgres_url_that_cannot_be_read_is_refused(url: str) -> None:
    """The message shows the right form, and nothing of the URL: libpq's own repeats parts of it."""
    with pytest.raises(ConfigurationError, match="postgresql://USER@HOST:PORT/DATABASE") as caught:
        open_store(url)
    assert "secret" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://me:secret@db:5433/x", "postgresql://db:5433/x"),
        ("postgres://me@db/x?password=secret", "postgresql://db/x"),
        ("postgresql:///x?host=/run/secret%40", "postgresql:///run/secret@/x"),
        ("postgresql://", "postgresql:///"),
    ],
)
def test_a_postgres_store_is_named_without_user_and_password(url: str, name: str) -> None:
    """What is shown in messages and logs is where the store is."""
    assert display_name(url) == name


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    """Also one that means something in SQLite's own URIs."""
    url = f"sqlite:///{tmp_path}/a%3Fmode=ro%23%25 b.db"
    with closing(open_store(url)) as store:
        store_id = store.info().store_id
    assert [each.name for each in tmp_path.iterdir()] == ["a?mode=ro#% b.db"]
    with closing(open_store(url, read_only=True)) as store:
        assert store.info().store_id == store_id
