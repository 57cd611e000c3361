"""Consumer groups, as tests look at them."""

from __future__ import annotations

import time
from collections.abc import Mapping

from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient

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


def group_members(broker: Broker, group_id: str) -> dict[str, list[int]]:
    """Return the partitions of each member of a group, by the ID that the broker gave it."""
    admin = AdminClient(client_settings(broker))
    found = admin.describe_consumer_groups([group_id])[group_id].result(TIMEOUT_SECONDS)
    return {
        each.member_id: sorted(place.partition for place in each.assignment.topic_partitions)
        for each in found.members
    }


def committed_offsets(broker: Broker, group_id: str, topic: str) -> dict[int, int]:
    """Return the offsets that Kafka keeps for a group, by partition; none where it has none."""
    admin = AdminClient(client_settings(broker))
    request = ConsumerGroupTopicPartitions(group_id)
    found = admin.list_consumer_group_offsets([request])[group_id].result(TIMEOUT_SECONDS)
    places = [each for each in found.topic_partitions or [] if each.topic == topic]
    return {each.partition: each.offset for each in places}


def alter_committed_offsets(
    broker: Broker, group_id: str, topic: str, offsets: Mapping[int, int]
) -> None:
    """Set a group's offsets, as an operator may; the group must have no members."""
    admin = AdminClient(client_settings(broker))
    places = [TopicPartition(topic, partition, offset) for partition, offset in offsets.items()]
    request = ConsumerGroupTopicPartitions(group_id, places)
    admin.alter_consumer_group_offsets([request])[group_id].result(TIMEOUT_SECONDS)


def delete_group(broker: Broker, group_id: str) -> None:
    """Delete a group and all that Kafka keeps for it; it must have no members."""
    admin = AdminClient(client_settings(broker))
    admin.delete_consumer_groups([group_id])[group_id].result(TIMEOUT_SECONDS)
