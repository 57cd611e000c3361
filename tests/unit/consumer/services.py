"""Services over a log and a store in memory, and what they are held to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

from sessionfold_consumer.breaker import Limits
from sessionfold_consumer.errors import StoreBusyError, StoreUnusableError
from sessionfold_consumer.observer import Observer, Progress
from sessionfold_consumer.service import Checks, Service
from sessionfold_consumer.source import Fetched, MemoryLog, MemorySource, Source
from sessionfold_consumer.state import Row
from sessionfold_consumer.store import (
    Advance,
    DeadLetter,
    MemoryStore,
    SessionStore,
    TopicIdentity,
)
from tests import oracle
from tests.services.topics import StoredRecord
from tests.strategies import KeyAndValue, any_records, few_session_ids, good_records, stored

PARTITIONS = 3

S = TypeVar("S", bound=SessionStore)

Item = tuple[int, KeyAndValue | None]
"""A partition and the record to append to it; None is a mark, as a transaction leaves it."""

items: st.SearchStrategy[Item] = st.tuples(
    st.integers(0, PARTITIONS - 1), st.one_of(good_records(few_session_ids), any_records, st.none())
)
"""Events of a few sessions, what is none, and marks, on every partition."""

ITEMS: list[Item] = [
    (0, (b"a", b"\xc3\x01 no event")),
    (0, None),
    (1, (b"b", None)),
    (1, (b"b", b"")),
    (2, None),
]
"""Records (of which none is an event) and marks, on every partition."""


class Topic:
    """A log in memory, and the same records as the oracle reads them."""

    def __init__(self) -> None:
        self.log = MemoryLog(PARTITIONS)
        self.records: list[StoredRecord] = []

    def append(self, items: Sequence[Item]) -> None:
        """Append records and marks."""
        for partition, record in items:
            if record is None:
                self.log.mark(partition)
                continue
            offset = len(self.log.partitions[partition])
            self.records.append(stored(partition, offset, *record))
            self.log.append(partition, *record)

    def ends(self) -> dict[int, int]:
        """Return the high watermark of each partition."""
        return {partition: len(log) for partition, log in enumerate(self.log.partitions)}


def new_store() -> MemoryStore:
    """Return an empty store that is bound to the topic."""
    return bound(MemoryStore())


def bound(store: S) -> S:
    """Return a new store, bound to the topic."""
    identity = TopicIdentity(topic="t", topic_id="id", partition_count=PARTITIONS)
    store.bind(identity, dict.fromkeys(range(PARTITIONS), 0))
    return store


def new_service(
    source: Source,
    store: SessionStore,
    *,
    batch_records: int = 100,
    until: Mapping[int, int] | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
    checks: Checks | None = None,
    **further: Any,  # noqa: ANN401 - arguments of the service
) -> Service:
    """Return a service of the topic."""
    return Service(
        source=source,
        store=store,
        topic="t",
        owner="test",
        batch_records=batch_records,
        until=until,
        checks=checks or Checks(),
        **{"limits": Limits(ratio=1, run=0), "observer": Listener(on_progress), **further},
    )


class Listener(Observer):
    """Hands progress on."""

    def __init__(self, on_progress: Callable[[Progress], None]) -> None:
        self._on_progress = on_progress

    def progressed(self, progress: Progress) -> None:
        """Hand it on."""
        self._on_progress(progress)


def caught_up(store: SessionStore, topic: Topic) -> bool:
    """Say whether the store's positions are the log's ends."""
    return next_offsets(store) == topic.ends()


def next_offsets(store: SessionStore) -> dict[int, int]:
    """Return the store's positions."""
    return {partition: held.next_offset for partition, held in store.positions().items()}


def assert_is_fold_of_its_prefix(store: SessionStore, topic: Topic) -> None:
    """Hold states, counts and dead letters to the plain fold of all before the positions."""
    positions = next_offsets(store)
    prefix = [record for record in topic.records if record.offset < positions[record.partition]]
    expected = oracle.fold(prefix)
    assert list(store.states()) == oracle.ordered(expected.states)
    letters = {(each.partition, each.offset): each.reason for each in store.dead_letters()}
    assert letters == expected.refused


class InterruptedSource(MemorySource):
    """A source whose group acts while it fetches: records are in hand when their partition goes."""

    def __init__(self, log: MemoryLog, assigned: Sequence[int] | None = None) -> None:
        super().__init__(log, assigned)
        self.while_fetching: Callable[[], None] = lambda: None

    def fetch(
        self,
        max_records: int,
        timeout_seconds: float = 0,
        is_wanted: Callable[[], bool] = lambda: False,
    ) -> Fetched:
        """Fetch, and then let the group act."""
        fetched = super().fetch(max_records, timeout_seconds, is_wanted)
        act, self.while_fetching = self.while_fetching, lambda: None
        act()
        return fetched


class FailingStore(MemoryStore):
    """A store of which given commits fail, before or after they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[str | None] = []

    def commit(
        self, advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
    ) -> None:
        """Commit, unless a failure is due."""
        failure = self.failures.pop(0) if self.failures else None
        if failure == "busy":
            raise StoreBusyError("another process writes")
        if failure == "before":
            raise StoreUnusableError("the disk is full")
        super().commit(advances, rows, dead_letters)
        if failure == "after":
            raise StoreUnusableError("the disk is gone")
        if failure == "lost":
            raise StoreBusyError("the answer was lost")
