"""Testing aids: no broker, the real encoding.

::

    with sessionfold.testing.record() as events:
        code_under_test()
    assert events[-1]["is_successful"]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sessionfold_schemas import decode

from . import _process
from ._client import Client
from ._config import Configuration, load
from ._publisher import QUEUE_IS_FULL, NotTakenError, OnDelivery
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
    """A publisher that keeps what it is given, in order, and reports it delivered at once.

    Args:
        on_reports: called after each report, as by every publisher.
        capacity: how many records it takes before it is full; None is unbounded.
    """

    def __init__(self, on_reports: Callable[[], None], capacity: int | None = None) -> None:
        self.records: list[MemoryRecord] = []
        self._on_reports = on_reports
        self._capacity = capacity

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Keep one record.

        Raises:
            NotTakenError: when ``capacity`` records are kept.
        """
        if self._capacity is not None and len(self.records) >= self._capacity:
            raise NotTakenError(QUEUE_IS_FULL)
        kept = MemoryRecord(key, value)
        self.records.append(kept)
        on_delivery(None, kept)
        self._on_reports()

    def close(self) -> None:
        """Do nothing: the records stay readable."""


class Events(Sequence[dict[str, Any]]):
    """The events published so far, decoded, with the fields that were given."""

    def __init__(self, publisher: MemoryPublisher) -> None:
        self._publisher = publisher

    def __len__(self) -> int:
        return len(self._publisher.records)

    def __getitem__(self, index: Any) -> Any:  # noqa: ANN401 - an int or a slice
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
    made: list[MemoryPublisher] = []

    def make(_: Configuration, on_reports: Callable[[], None]) -> MemoryPublisher:
        made.append(MemoryPublisher(on_reports))
        return made[0]

    client = Client(load({}, **settings), make)
    with untouched(), _process.replaced(client):
        yield Events(made[0])


def _event(kept: MemoryRecord) -> dict[str, Any]:
    _, event = decode(kept.value(), key=kept.key())
    return {name: value for name, value in event.items() if value is not None}
