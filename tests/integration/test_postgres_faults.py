"""A service that is cut off from PostgreSQL at any moment: it goes on by itself and is right.

Each test counts that its fault really happened.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterable, Iterator
from contextlib import closing

import pytest

from sessionfold_consumer.errors import StoreBusyError
from sessionfold_consumer.store import Advance, DeadLetter, open_store
from tests.integration.folding import Folding
from tests.services.postgres import query
from tests.services.postgres_proxy import Loss, PostgresProxy
from tests.unit.consumer.services import bound

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("hurried")]

_IN_TRANSACTION = """
    SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
        AND application_name = 'sessionfold'
"""


@pytest.fixture
def proxy(url: str) -> Iterator[PostgresProxy]:
    """What stands between a service and its store."""
    with PostgresProxy(url) as standing:
        yield standing


@pytest.mark.parametrize("times", [4, pytest.param(300, marks=pytest.mark.soak)])
def test_its_backend_is_terminated_in_mid_batch(url: str, times: int) -> None:
    """Each time while a transaction is open."""
    chance = random.Random(times)
    with Folding(url) as folding:
        for _ in range(times):
            time.sleep(chance.uniform(0, 0.02))
            folding.wait_for(lambda: terminated_in_transaction(url), "an open transaction")
            folding.wait_for_progress()
            folding.check()
        folding.finish()
    assert folding.seen.waiting["store"] >= times


class Cutting(list[DeadLetter]):
    """Dead letters at whose end the backend that takes them is terminated."""

    def __init__(self, url: str, letters: Iterable[DeadLetter]) -> None:
        super().__init__(letters)
        self._url = url

    def __iter__(self) -> Iterator[DeadLetter]:
        """Yield all of them, and end the connection."""
        yield from super().__iter__()
        assert terminated_in_transaction(self._url)
        time.sleep(0.05)


def test_a_connection_that_was_lost_in_a_pipeline_is_made_anew(url: str) -> None:
    """The driver does not call it closed, and from then on it refuses every statement."""
    letters = [letter(offset) for offset in range(1_000)]
    with closing(open_store(url)) as store:
        bound(store)
        advance = Advance(position=store.claim([0], "test")[0], next_offset=1_000)
        for _ in range(10):
            with pytest.raises(StoreBusyError):
                store.commit([advance], [], Cutting(url, letters))
            assert store.positions()[0].next_offset == 0
        store.commit([advance], [], letters)
        assert [*store.dead_letters()] == letters


@pytest.mark.parametrize("times", [4, pytest.param(300, marks=pytest.mark.soak)])
@pytest.mark.parametrize("loss", ["answer", "commit", "late"])
def test_a_commit_or_its_answer_is_lost(
    url: str, proxy: PostgresProxy, loss: Loss, times: int
) -> None:
    """What became of it is read back: nothing is missing, and nothing is counted twice.

    Nor does the service take what it did itself for another's doing, and fence itself.
    """
    chance = random.Random(times)
    with Folding(proxy.url, url) as folding:
        for lost in range(1, times + 1):
            proxy.lose(loss, nth=chance.randint(1, 8))
            folding.wait_for(lambda lost=lost: proxy.lost[loss] == lost, "a loss")  # type: ignore[misc]
            folding.wait_for_progress()
            folding.check()
        folding.finish()
    assert proxy.lost == {loss: times}
    assert folding.seen.waiting["store"] >= times
    assert folding.seen.fences == 0


@pytest.mark.parametrize(
    ("nth", "loss"), [(1, "answer"), (1, "late"), (2, "answer"), (2, "late"), (3, "answer")]
)
def test_one_of_its_first_transactions_is_lost(
    url: str, proxy: PostgresProxy, nth: int, loss: Loss
) -> None:
    """It takes its partitions over, counts its attempt, commits: each of them may be unknown."""
    with Folding(proxy.url, url, on_opened=lambda: proxy.lose(loss, nth)) as folding:
        folding.wait_for(lambda: proxy.lost[loss] == 1, "a loss")
        folding.finish()
    assert folding.seen.fences == 0
    assert folding.seen.waiting["store"] >= 1


def letter(offset: int) -> DeadLetter:
    """Return a dead letter."""
    return DeadLetter(
        partition=0,
        offset=offset,
        timestamp=0,
        key=b"key",
        value=b"value",
        headers=(),
        reason="empty",
        detail="",
    )


def terminated_in_transaction(url: str) -> bool:
    """Terminate whoever has a transaction open, wait until it is gone, say if there was one."""
    pids = [pid for pid, was_there in query(url, _IN_TRANSACTION) if was_there]
    while query(url, "SELECT 1 FROM pg_stat_activity WHERE pid = ANY(%s)", pids):
        time.sleep(0.001)
    return bool(pids)
