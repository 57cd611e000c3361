"""Testing aids: no broker, the real encoding.

::

    with sessionfold.testing.record() as events:
        code_under_test()
    assert events[-1]["is_successful"]
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sessionfold_schemas import decode

from . import _process
from ._client import Client
from ._config import load
from ._publisher import QUEUE_IS_FULL, DeliveryError, NotTakenError, OnDelivery
from ._session import untouched

__all__ = ["Events", "MemoryPublisher", "MemoryRecord", "record"]


class MemoryRecord:
    """A published record as the delivery report shows it."""

    def __init__(self, key: bytes, value: bytes) -> None:
        self._key = key
        self._value = value

    def key(self) -> bytes:
        """Return the key: the session ID's bytes."""
        return self._key

    def value(self) -> bytes:
        """Return the encoded event."""
        return self._value


class MemoryPublisher:
    """A publisher that keeps what it is given, in order, and reports it delivered when polled.

    Args:
        capacity: how many records it takes before it is full; None is unbounded.
    """

    def __init__(self, capacity: int | None = None) -> None:
        self.records: list[MemoryRecord] = []
        self._capacity = capacity
        self._unreported: list[tuple[OnDelivery, MemoryRecord]] = []

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Keep one record.

        Raises:
            NotTakenError: when ``capacity`` records are kept.
        """
        if self._capacity is not None and len(self.records) >= self._capacity:
            raise NotTakenError(QUEUE_IS_FULL)
        kept = MemoryRecord(key, value)
        self.records.append(kept)
        self._unreported.append((on_delivery, kept))

    def poll(self, timeout_seconds: float, *, hurry: bool = False) -> None:  # noqa: ARG002
        """Report what was taken as delivered; never waits."""
        reports, self._unreported = self._unreported, []
        for on_delivery, kept in reports:
            on_delivery(None, kept)

    def close(self) -> None:
        """Report what was taken; the records stay readable."""
        self.poll(0.0)

    def has_failed(self) -> bool:
        """Say that it has not."""
        return False

    def is_refusal(self, error: DeliveryError) -> bool:  # noqa: ARG002 - it has no errors
        """Say that it refuses none."""
        return False


class Events(Sequence[dict[str, Any]]):
    """The events published so far, decoded, with the fields that were given."""

    def __init__(self, publisher: MemoryPublisher, client: Client) -> None:
        self._publisher = publisher
        self._client = client

    def __len__(self) -> int:
        self._client.turn()
        return len(self._publisher.records)

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - an int or a slice
        self._client.turn()
        kept = self._publisher.records[index]
        return [_event(each) for each in kept] if isinstance(index, slice) else _event(kept)


@contextmanager
def record(**settings: Any) -> Iterator[Events]:  # noqa: ANN401 - see Configuration
    """Record what this process publishes in the block instead of publishing it.

    Args:
        **settings: settings of the SDK, as for :func:`sessionfold.configure`.

    Yields:
        The events so far; it grows as calls are made.
    """
    publisher = MemoryPublisher()
    settings.setdefault("on_full", "drop")
    client = Client(load({}, **settings), lambda _: publisher, threaded=False)
    with untouched(), _process.replaced(client):
        yield Events(publisher, client)


def _event(kept: MemoryRecord) -> dict[str, Any]:
    _, event = decode(kept.value(), key=kept.key())
    return {name: value for name, value in event.items() if value is not None}
