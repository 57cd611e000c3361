"""Topics, and the records in them, as tests make and read them."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    KafkaError,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewPartitions, NewTopic

from .kafka import Broker

TIMEOUT_SECONDS = 20.0

_MAX_RECORD_BYTES = 2 * 1024 * 1024

_DEFAULTS = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "message.timestamp.type": "LogAppendTime",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredRecord:
    """One record as the log holds it; ``timestamp_ms`` is milliseconds since the epoch."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None


def unique_topic_name(prefix: str = "session-updates") -> str:
    """Return a topic name that no other test has."""
    return f"{prefix}-{uuid.uuid4().hex[:12]}"


def create_topic(broker: Broker, name: str, partitions: int = 4, **config: str) -> None:
    """Create a topic and wait until every partition has a leader.

    Args:
        broker: where.
        name: the topic's name, not in use yet.
        partitions: how many.
        config: the topic's settings, with ``_`` for ``.`` in their names; they go over the
            defaults (never deleted, not compacted, timestamps set by the broker).
    """
    settings = _DEFAULTS | {key.replace("_", "."): value for key, value in config.items()}
    admin = AdminClient(client_settings(broker))
    new = NewTopic(name, num_partitions=partitions, replication_factor=1, config=settings)
    admin.create_topics([new])[name].result(TIMEOUT_SECONDS)
    _wait_for_leaders(admin, name, partitions)


def add_partitions(broker: Broker, name: str, total: int) -> None:
    """Add partitions to a topic, until there are ``total``, and wait for their leaders."""
    admin = AdminClient(client_settings(broker))
    admin.create_partitions([NewPartitions(name, total)])[name].result(TIMEOUT_SECONDS)
    _wait_for_leaders(admin, name, total)


def configure_topic(broker: Broker, name: str, setting: str, value: str) -> None:
    """Change one setting of a topic."""
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    admin = AdminClient(client_settings(broker))
    admin.incremental_alter_configs([resource])[resource].result(TIMEOUT_SECONDS)


def delete_topic(broker: Broker, name: str) -> None:
    """Delete a topic and wait until the broker no longer lists it."""
    admin = AdminClient(client_settings(broker))
    admin.delete_topics([name])[name].result(TIMEOUT_SECONDS)
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while name in admin.list_topics(timeout=TIMEOUT_SECONDS).topics:
        _pause_before(deadline, f"the broker still lists topic {name}")


def append(
    broker: Broker,
    topic: str,
    records: Iterable[tuple[bytes | None, bytes | None]],
    *,
    partition: int = -1,
    headers: Sequence[tuple[str, bytes | None]] = (),
) -> None:
    """Append records, each a key and a value, in order; return when the broker has them all.

    Args:
        broker: where.
        topic: to which topic.
        records: keys and values as the log shall hold them; None is Kafka's null.
        partition: the partition for all of them; -1 lets Java's default partitioner choose by key.
        headers: what each of them has.
    """
    failures: list[str] = []
    producer = Producer(
        client_settings(broker)
        | {"enable.idempotence": True, "partitioner": "murmur2_random"}
        | {"message.max.bytes": _MAX_RECORD_BYTES}
    )

    def on_delivery(error: KafkaError | None, _: Message) -> None:
        if error is not None:
            failures.append(error.str())

    for key, value in records:
        produce(producer, topic, value, key, partition, on_delivery, headers=list(headers))
        producer.poll(0)
    waiting = producer.flush(TIMEOUT_SECONDS)
    if waiting or failures:
        raise AssertionError(f"{waiting} records wait, {len(failures)} failed: {failures[:3]}")


def produce(producer: Producer, *record: Any, **more: Any) -> None:  # noqa: ANN401 - the client's
    """Call ``producer.produce``; where the client's queue is full, wait until there is room.

    Raises:
        BufferError: when there is none for ``TIMEOUT_SECONDS``.
    """
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while True:
        try:
            return producer.produce(*record, **more)
        except BufferError:
            if time.monotonic() > deadline:
                raise
            producer.poll(0.1)


def append_transaction(
    broker: Broker,
    topic: str,
    records: Iterable[tuple[bytes | None, bytes | None]],
    *,
    partition: int,
    commit: bool = True,
) -> None:
    """Append records in one transaction, whose end takes up an offset of its own.

    Args:
        broker: where.
        topic: to which topic.
        records: keys and values, as for :func:`append`.
        partition: the partition for all of them.
        commit: false aborts it; then nobody shall see the records.
    """
    name = unique_topic_name("transaction")
    producer = Producer(client_settings(broker) | {"transactional.id": name})
    producer.init_transactions(TIMEOUT_SECONDS)
    producer.begin_transaction()
    for key, value in records:
        produce(producer, topic, value, key, partition)
    producer.flush(TIMEOUT_SECONDS)
    if commit:
        producer.commit_transaction(TIMEOUT_SECONDS)
    else:
        producer.abort_transaction(TIMEOUT_SECONDS)


def delete_records(broker: Broker, topic: str, partition: int, *, before: int) -> None:
    """Delete a partition's records before an offset, as retention does."""
    admin = AdminClient(client_settings(broker))
    place = TopicPartition(topic, partition, before)
    admin.delete_records([place])[place].result(TIMEOUT_SECONDS)


def read_all(broker: Broker, topic: str) -> list[StoredRecord]:
    """Return every record of a topic up to its present end, by partition, then offset."""
    consumer = Consumer(
        client_settings(broker)
        | {"group.id": unique_topic_name("reader"), "enable.auto.commit": False}
        | {"enable.partition.eof": True, "check.crcs": True}
    )
    try:
        records = _read_to_end(consumer, topic)
    finally:
        consumer.close()
    return sorted(records, key=lambda record: (record.partition, record.offset))


def end_offsets(broker: Broker, topic: str) -> dict[int, int]:
    """Return the high watermark of each partition."""
    consumer = Consumer(client_settings(broker) | {"group.id": unique_topic_name("reader")})
    try:
        return {
            partition: consumer.get_watermark_offsets(
                TopicPartition(topic, partition), timeout=TIMEOUT_SECONDS
            )[1]
            for partition in _partitions(consumer, topic)
        }
    finally:
        consumer.close()


def client_settings(broker: Broker) -> dict[str, str | int | float | bool]:
    """Return what every client here starts from: the address, and no log lines on stderr."""
    return {"bootstrap.servers": broker.bootstrap_servers, "log_level": 0}


def _read_to_end(consumer: Consumer, topic: str) -> list[StoredRecord]:
    unfinished = set(_partitions(consumer, topic))
    consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in unfinished])
    records: list[StoredRecord] = []
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while unfinished:
        for message in consumer.consume(10_000, timeout=0.1):
            if message.error() is None:
                records.append(_stored(message))
                deadline = time.monotonic() + TIMEOUT_SECONDS  # a long topic takes its time
            else:
                unfinished.discard(_ended_partition(message))
        if time.monotonic() > deadline:
            raise AssertionError(f"no end seen of partitions {sorted(unfinished)} of {topic}")
    return records


def _ended_partition(message: Message) -> int | None:
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise AssertionError(f"reading failed: {error.str()}")
    return message.partition()


def _stored(message: Message) -> StoredRecord:
    partition, offset = message.partition(), message.offset()
    if partition is None or offset is None:
        raise AssertionError("the client handed over a record that has no place in the log")
    return StoredRecord(
        partition=partition,
        offset=offset,
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
    )


def _partitions(client: Consumer | AdminClient, topic: str) -> list[int]:
    return sorted(client.list_topics(topic, timeout=TIMEOUT_SECONDS).topics[topic].partitions)


def _wait_for_leaders(admin: AdminClient, name: str, partitions: int) -> None:
    deadline = time.monotonic() + TIMEOUT_SECONDS
    while len(_led_partitions(admin, name)) < partitions:
        _pause_before(deadline, f"not every partition of {name} has a leader")


def _led_partitions(admin: AdminClient, name: str) -> list[int]:
    # Asking for all topics: a question for one that is not there yet is answered with an error.
    topic = admin.list_topics(timeout=TIMEOUT_SECONDS).topics.get(name)
    return [p.id for p in topic.partitions.values() if p.leader >= 0] if topic else []


def _pause_before(deadline: float, problem: str) -> None:
    if time.monotonic() > deadline:
        raise AssertionError(f"after {TIMEOUT_SECONDS:g} s, {problem}")
    time.sleep(0.02)
