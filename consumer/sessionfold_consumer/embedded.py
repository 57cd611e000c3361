"""A broker inside this process, for trying out: librdkafka's mock cluster.

It speaks Kafka's protocol on loopback, to any client and process, and keeps everything in memory:
per partition the oldest records go when there are more than 5 MiB or 100,000. It makes topics, of 4
partitions, when they are first heard of, and answers no administrative questions.
"""

from __future__ import annotations

from typing import Self

from confluent_kafka import KafkaException, Producer

from .broker import client_logger
from .errors import BrokerUnreachableError

_ANSWER_SECONDS = 10.0


class EmbeddedBroker:
    """One broker that lives as long as this object is open; a context manager.

    Raises:
        BrokerUnreachableError: when it does not come up.
    """

    def __init__(self, topic: str) -> None:
        # The address is never contacted: the mock cluster puts its own in its place.
        settings = {"bootstrap.servers": "embedded", "test.mock.num.brokers": 1, "log_level": 2}
        self._client: Producer | None = Producer(settings, logger=client_logger)
        try:
            found = self._client.list_topics(topic, timeout=_ANSWER_SECONDS)
        except KafkaException as error:
            raise BrokerUnreachableError("embedded", _ANSWER_SECONDS, str(error)) from error
        first = next(iter(found.brokers.values()))
        self.bootstrap_servers = f"{first.host}:{first.port}"

    def __enter__(self) -> Self:
        """Return the running broker."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the broker; its records are gone."""
        self.close()

    def close(self) -> None:
        """Stop the broker; its records are gone. A second call does nothing."""
        self._client = None
