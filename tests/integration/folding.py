"""A service that folds a growing log in memory into a store, while a test harms the database."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import Self

from sessionfold_consumer.observer import Cause, Observer, Progress
from sessionfold_consumer.source import Fetched, MemorySource
from sessionfold_consumer.store import SessionStore, open_store
from sessionfold_consumer.verify import Report
from tests.unit.consumer.conftest import event
from tests.unit.consumer.services import PARTITIONS, Item, Topic, bound, new_service, next_offsets
from tests.unit.consumer.verifying import assert_is_clean, new_verifier

PATIENCE_SECONDS = 60.0

BATCH_RECORDS = 20
_PACE_SECONDS = 0.003
_GARBAGE_SHARE = 0.05


class Seen(Observer):
    """Counts what happens to a service.

    Attributes:
        commits: batches that were stored.
        waiting: how often it had to wait, and for what.
        fences: how often it was fenced.
        progress: how far it is; None before its first step.
    """

    def __init__(self) -> None:
        self.commits = self.fences = 0
        self.waiting: Counter[Cause] = Counter()
        self.progress: Progress | None = None

    def progressed(self, progress: Progress) -> None:
        """Keep it."""
        self.progress = progress

    def committed(self, commit: object) -> None:
        """Count it."""
        self.commits += 1

    def fenced(self, partitions: object) -> None:
        """Count it."""
        self.fences += 1

    def waits(self, cause: Cause) -> None:
        """Count it."""
        self.waiting[cause] += 1


class Folding:
    """Folds, in a thread of its own, a log that grows as it is read. A context manager.

    Args:
        url: the store as the service reaches it, of the newest version.
        direct: the store as the test reaches it; None is the same.
        sessions: how many sessions the events are of.
        on_opened: called in the service's thread when its store is open, before it claims.

    Attributes:
        topic: the log.
        seen: what happened to the service.
    """

    def __init__(
        self,
        url: str,
        direct: str | None = None,
        *,
        sessions: int = 30,
        on_opened: Callable[[], None] = lambda: None,
    ) -> None:
        self.topic = Topic()
        self.seen = Seen()
        self._url = url
        self._direct = direct or url
        self._on_opened = on_opened
        self._source = GrowingSource(self.topic, sessions)
        self._verifier = new_verifier(self.topic)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None

    def __enter__(self) -> Self:
        """Return it, folding."""
        with closing(open_store(self._direct)) as store:
            bound(store)
        self._thread.start()
        self.wait_for(lambda: self.seen.commits > 0, "a first commit")
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the service."""
        self._stopping.set()
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the service does not end"

    @property
    def is_waiting(self) -> bool:
        """Whether the service says that it waits for something."""
        return self.seen.progress is not None and self.seen.progress.waiting is not None

    def wait_for(self, reached: Callable[[], bool], what: str) -> None:
        """Wait until something holds; at once raise what has ended the service meanwhile."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not reached():
            if self._error is not None:
                raise self._error
            assert time.monotonic() < deadline, f"waited in vain for {what}"
            time.sleep(0.005)

    def wait_for_progress(self) -> None:
        """Wait until a batch is stored that was begun from now on."""
        before = self.seen.commits
        self.wait_for(lambda: self.seen.commits > before + 1, "progress")

    def wait_for_fence(self, times: int) -> None:
        """Wait until it was fenced so often."""
        self.wait_for(lambda: self.seen.fences == times, "a fence")

    def check(self) -> Report:
        """Expect the store to be right at this moment, whatever was done to it."""
        with closing(open_store(self._direct, read_only=True)) as store:
            report = self._verifier.check(store)
        assert_is_clean(report)
        return report

    def finish(self) -> None:
        """Let the log end; expect that all of it is folded, each record once, and is right."""
        self._source.grows = False
        with closing(open_store(self._direct, read_only=True)) as store:
            self.wait_for(lambda: next_offsets(store) == self.topic.ends(), "the log's end")
        assert self.check().records == len(self.topic.records)
        self.wait_for(lambda: not self.is_waiting, "that it waits for nothing")
        if not self.seen.fences:
            assert self.seen.progress is not None
            assert self.seen.progress.records == len(self.topic.records)

    def _run(self) -> None:
        try:
            with closing(open_store(self._url)) as store:
                self._on_opened()
                self._fold(store)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self._error = error

    def _fold(self, store: SessionStore) -> None:
        service = new_service(self._source, store, batch_records=BATCH_RECORDS, observer=self.seen)
        service.run(self._stopping.is_set)


class GrowingSource(MemorySource):
    """A source of a log that gets new records each time that it is read, until ``grows`` is false.

    It takes its time, so that a service that waits does not spin.
    """

    def __init__(self, topic: Topic, sessions: int) -> None:
        super().__init__(topic.log)
        self.grows = True
        self._topic = topic
        self._sessions = sessions
        self._random = random.Random(sessions)

    def fetch(
        self,
        max_records: int,
        timeout_seconds: float = 0,
        is_wanted: Callable[[], bool] = lambda: False,
    ) -> Fetched:
        """Append some records, and fetch."""
        if self.grows:
            self._topic.append([self._item() for _ in range(max_records)])
        time.sleep(_PACE_SECONDS)
        return super().fetch(max_records, timeout_seconds, is_wanted)

    def idle(self, timeout_seconds: float) -> None:
        """Wait for a moment."""
        time.sleep(_PACE_SECONDS)

    def _item(self) -> Item:
        number = len(self._topic.records)
        session = self._random.randrange(self._sessions)
        item: Item = event(
            session % PARTITIONS,
            f"session-{session}",
            number,
            task=f"task {number}",
            lost_before=number % 2,
        )
        if self._random.random() < _GARBAGE_SHARE:
            return item[0], (f"session-{session}".encode(), b"\xc3\x01garbage")
        return item
