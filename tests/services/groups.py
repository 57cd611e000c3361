"""Consumer groups, as tests look at them."""

from __future__ import annotations

import time

from confluent_kafka import Consumer

from .kafka import Broker
from .topics import TIMEOUT_SECONDS, client_settings, unique_topic_name


def join_group(broker: Broker, topic: str, *, protocol: str) -> list[int]:
    """Join a new group as its only member and return the partitions that it was given.

    Args:
        broker: where.
        topic: the topic to subscribe to.
        protocol: ``classic`` or ``consumer`` (KIP-848).
    """
    consumer = Consumer(
        client_settings(broker)
        | {"group.id": unique_topic_name("group"), "group.protocol": protocol}
    )
    try:
        consumer.subscribe([topic])
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while not consumer.assignment() and time.monotonic() < deadline:
            consumer.poll(0.05)
        return sorted(partition.partition for partition in consumer.assignment())
    finally:
        consumer.close()
