"""A publisher that keeps what it is given until the test says what becomes of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sessionfold import _process
from sessionfold._client import Client
from sessionfold._config import load
from sessionfold._publisher import QUEUE_IS_FULL, NotTakenError, OnDelivery
from sessionfold._session import untouched
from sessionfold.testing import MemoryRecord
from sessionfold_schemas import decode

Event = dict[str, Any]

REFUSED = "refused for good"
"""The error of an event that would fail again."""


class HeldPublisher:
    """Stands for a broker that is slow, away, or refuses.

    Attributes:
        delivered: the events that were delivered, in order.
        refuses: when set, why no event is taken.
        interruption: when set, called once, in the middle of the next publication: what a signal
            handler or a finalizer does.
    """

    def __init__(self) -> None:
        self.delivered: list[Event] = []
        self.refuses: str | None = None
        self.capacity: int | None = None
        self.interruption: Callable[[], object] | None = None
        self.failed = False
        self.polled = 0
        self.closed = 0
        self.turn: Callable[[], object] = lambda: None
        self._waiting: deque[tuple[MemoryRecord, OnDelivery]] = deque()
        self._due: deque[tuple[str | None, MemoryRecord, OnDelivery]] = deque()

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

    def poll(self, timeout_seconds: float, *, hurry: bool = False) -> None:
        """Report what the test has decided."""
        self.polled += 1
        while self._due:
            error, record, on_delivery = self._due.popleft()
            on_delivery(error, record)

    def close(self) -> None:
        """Give up what waits."""
        self.closed += 1
        self._decide(None, "closed")
        self.poll(0)

    def has_failed(self) -> bool:
        """Say whether the test wants another publisher."""
        failed, self.failed = self.failed, False
        return failed

    def is_refusal(self, error: object) -> bool:
        """Say whether the error is about the event itself."""
        return str(error) == REFUSED

    @property
    def waiting(self) -> int:
        """How many events wait, after what the calls left behind was handed over."""
        self.turn()
        return len(self._waiting)

    def deliver(self, count: int | None = None) -> None:
        """Deliver the oldest events, all by default, and report it."""
        self._decide(count, None)

    def deliver_all(self) -> None:
        """Deliver until nothing waits any more, in the inbox neither."""
        while self.waiting:
            self.deliver()

    def fail(self, count: int | None = None, error: str = "timed out") -> None:
        """Give up the oldest events, all by default, and report it."""
        self._decide(count, error)

    def _decide(self, count: int | None, error: str | None) -> None:
        self.turn()
        most = len(self._waiting) if count is None else min(count, len(self._waiting))
        for _ in range(most):
            record, on_delivery = self._waiting.popleft()
            if error is None:
                self.delivered.append(event_of(record))
            self._due.append((error, record, on_delivery))
        self.turn()


def event_of(record: MemoryRecord) -> Event:
    """Decode a record; fields that were not given are left out."""
    _, event = decode(record.value(), key=record.key())
    return {name: value for name, value in event.items() if value is not None}


@contextmanager
def held(*, threaded: bool = False, **settings: Any) -> Iterator[HeldPublisher]:  # noqa: ANN401
    """Publish what the block's calls say to a :class:`HeldPublisher`, which is yielded.

    Args:
        threaded: whether a thread does the work in the background, as in a worker; else the
            publisher's methods do, and whoever waits.
        settings: see Configuration.
    """
    publisher = HeldPublisher()
    settings.setdefault("on_full", "drop")
    client = Client(load({}, **settings), lambda _: publisher, threaded=threaded)
    publisher.turn = client.turn
    with untouched(), _process.replaced(client):
        yield publisher
    if threaded:
        client.close(0)
