"""The logs that the source suite reads: one interface, in memory and on a real broker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sessionfold_consumer.config import Settings
from sessionfold_consumer.records import Headers
from sessionfold_consumer.source import MemoryLog, MemorySource, Source
from sessionfold_consumer.source.kafka import KafkaSource
from tests.services.kafka import Broker
from tests.services.topics import (
    append,
    append_transaction,
    create_topic,
    delete_records,
    unique_topic_name,
)

PARTITIONS = 3

KeyAndValue = tuple[bytes | None, bytes | None]


class Log(Protocol):
    """A topic of ``PARTITIONS`` partitions, as its writers and its retention change it."""

    def append(self, partition: int, records: Sequence[KeyAndValue], headers: Headers = ()) -> None:
        """Append records, all with the same headers."""

    def append_transaction(
        self, partition: int, records: Sequence[KeyAndValue], *, commit: bool
    ) -> None:
        """Append records in one transaction, and commit or abort it."""

    def truncate(self, partition: int, low: int) -> None:
        """Delete the records before offset ``low``."""

    def open(self) -> Source:
        """Return a source that is given all partitions."""


class InMemory:
    """The log of :class:`MemorySource`."""

    def __init__(self) -> None:
        self._log = MemoryLog(PARTITIONS)

    def append(self, partition: int, records: Sequence[KeyAndValue], headers: Headers = ()) -> None:
        """Append records."""
        for key, value in records:
            self._log.append(partition, key, value, headers)

    def append_transaction(
        self, partition: int, records: Sequence[KeyAndValue], *, commit: bool
    ) -> None:
        """Append records, or for aborted ones just their offsets, and the transaction's mark."""
        for key, value in records:
            if commit:
                self._log.append(partition, key, value)
            else:
                self._log.mark(partition)
        self._log.mark(partition)

    def truncate(self, partition: int, low: int) -> None:
        """Delete records."""
        self._log.truncate(partition, low)

    def open(self) -> Source:
        """Return a source of it."""
        return MemorySource(self._log)


class OnBroker:
    """A fresh topic of a real broker, read without a group."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.topic = unique_topic_name()
        create_topic(broker, self.topic, PARTITIONS, max_message_bytes=str(2 * 1024 * 1024))

    def append(self, partition: int, records: Sequence[KeyAndValue], headers: Headers = ()) -> None:
        """Append records."""
        append(self._broker, self.topic, records, partition=partition, headers=headers)

    def append_transaction(
        self, partition: int, records: Sequence[KeyAndValue], *, commit: bool
    ) -> None:
        """Append records in a transaction."""
        append_transaction(self._broker, self.topic, records, partition=partition, commit=commit)

    def truncate(self, partition: int, low: int) -> None:
        """Delete records."""
        delete_records(self._broker, self.topic, partition, before=low)

    def open(self) -> Source:
        """Return a source of it."""
        settings = Settings(bootstrap_servers=self._broker.bootstrap_servers, topic=self.topic)
        return KafkaSource(settings, "sessionfold-tests", range(PARTITIONS))
