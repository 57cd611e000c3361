"""A publisher that keeps what it is given until the test says what becomes of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sessionfold import _process
from sessionfold._client import Client
from sessionfold._config import Configuration, load
from sessionfold._publisher import QUEUE_IS_FULL, NotTakenError, OnDelivery
from sessionfold._session import untouched
from sessionfold.testing import MemoryRecord
from sessionfold_schemas import decode

Event = dict[str, Any]


class HeldPublisher:
    """Stands for a broker that is slow, away, or refuses.

    Attributes:
        delivered: the events that were delivered, in order.
        refuses: when set, why no event is taken.
        interruption: when set, called once, in the middle of the next publication: what a signal
            handler or a finalizer does.
    """

    def __init__(self, on_reports: Callable[[], None]) -> None:
        self.delivered: list[Event] = []
        self.refuses: str | None = None
        self.capacity: int | None = None
        self.interruption: Callable[[], object] | None = None
        self._waiting: deque[tuple[MemoryRecord, OnDelivery]] = deque()
        self._on_reports = on_reports

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Keep one event, unless the publisher is full or refuses."""
        interruption, self.interruption = self.interruption, None
        if interruption is not None:
            interruption()
        if self.refuses is not None:
            raise NotTakenError(self.refuses)
        if len(self._waiting) == self.capacity:
            raise NotTakenError(QUEUE_IS_FULL)
        self._waiting.append((MemoryRecord(key, value), on_delivery))

    def close(self) -> None:
        """Give up what waits."""
        self.fail()

    @property
    def waiting(self) -> int:
        """How many events wait."""
        return len(self._waiting)

    def deliver(self, count: int | None = None) -> None:
        """Deliver the oldest events, all by default, and report it."""
        for record, on_delivery in self._oldest(count):
            self.delivered.append(event_of(record))
            on_delivery(None, record)
        self._on_reports()

    def fail(self, count: int | None = None, error: str = "timed out") -> None:
        """Give up the oldest events, all by default, and report it."""
        for record, on_delivery in self._oldest(count):
            on_delivery(error, record)
        self._on_reports()

    def _oldest(self, count: int | None) -> list[tuple[MemoryRecord, OnDelivery]]:
        most = self.waiting if count is None else min(count, self.waiting)
        return [self._waiting.popleft() for _ in range(most)]


def event_of(record: MemoryRecord) -> Event:
    """Decode a record; fields that were not given are left out."""
    _, event = decode(record.value(), key=record.key())
    return {name: value for name, value in event.items() if value is not None}


@contextmanager
def held(**settings: Any) -> Iterator[HeldPublisher]:  # noqa: ANN401 - see Configuration
    """Publish what the block's calls say to a :class:`HeldPublisher`, which is yielded."""
    made: list[HeldPublisher] = []

    def make(_: Configuration, on_reports: Callable[[], None]) -> HeldPublisher:
        made.append(HeldPublisher(on_reports))
        return made[0]

    client = Client(load({}, **settings), make)
    with untouched(), _process.replaced(client):
        yield made[0]
