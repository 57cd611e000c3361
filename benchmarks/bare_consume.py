"""The yardstick: consume a topic and do nothing. Prints the seconds it took."""

from __future__ import annotations

import sys
import time

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition


def main() -> None:
    """Consume as many records as the third argument says, with the service's own settings."""
    servers, topic, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    start = time.perf_counter()
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": "bare",
            "enable.auto.commit": False,
            "check.crcs": True,
            "fetch.queue.backoff.ms": 5,
            "queued.min.messages": 100_000,
            "queued.max.messages.kbytes": 65_536,
        }
    )
    partitions = consumer.list_topics(topic, timeout=10).topics[topic].partitions
    consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])
    got = 0
    while got < count:
        got += len(consumer.consume(10_000, 0.5))
    seconds = time.perf_counter() - start
    consumer.close()
    print(seconds)


if __name__ == "__main__":
    main()
