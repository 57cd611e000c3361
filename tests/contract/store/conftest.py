"""The stores that each test of the suite runs over."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessionfold_consumer.store import SessionStore, ShadowStore
from tests.contract.store import stores


@pytest.fixture(scope="session", autouse=True)
def _server(request: pytest.FixtureRequest) -> None:
    """Stores on PostgreSQL are on the run's server, which starts when the first one is made."""
    stores.databases.server = lambda: request.getfixturevalue("postgres")


@pytest.fixture(params=stores.KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """A kind of store, for tests that need several of them."""
    return str(request.param)


@pytest.fixture
def new_store(kind: str) -> Iterator[SessionStore]:
    """A store that no service has run on yet."""
    with stores.KINDS[kind]() as store:
        yield store


@pytest.fixture
def store(kind: str) -> Iterator[SessionStore]:
    """A store that is bound to a topic with the partitions 0, 1 and 2, each at offset 0."""
    with stores.bound(kind) as bound:
        yield bound


@pytest.fixture
def shadow(store: SessionStore) -> Iterator[ShadowStore]:
    """The shadow of ``store``."""
    with stores.shadow_of(store) as opened:
        yield opened
