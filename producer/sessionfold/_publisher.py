"""The boundary to Kafka: the protocol, and confluent-kafka behind it.

Facts of the client that force this shape: ``poll()`` must run or delivery reports are never seen
and the queue never empties; with ``logger=`` set its log lines come out of ``poll()`` instead of on
stderr; an instance inherited over a fork accepts events and loses them without an error.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from ._config import Configuration
from .errors import ConfigurationError


class DeliveryError(Protocol):
    """Why an event was not delivered, in words."""

    def __str__(self) -> str:
        """Return the client's sentence."""


class DeliveredRecord(Protocol):
    """What a delivery report shows of the record it is about."""

    def key(self) -> bytes | None:
        """Return the record's key."""

    def value(self) -> bytes | None:
        """Return the record's value."""


OnDelivery = Callable[[DeliveryError | None, DeliveredRecord], None]

RESERVED_EVENTS = 1_000
"""Room in the client's queue that only ``init`` and ``end`` events may take."""

_BY_PARTITIONER = -1
_LOG_LINES = 5
_LOG_PERIOD_SECONDS = 60.0
_POLL_SECONDS = 0.1
_CLOSE_SECONDS = 2.0


QUEUE_IS_FULL = "the queue is full"


class NotTakenError(Exception):
    """Raised by :meth:`Publisher.publish` when it did not take the event; says why in a clause."""


class Publisher(Protocol):
    """Takes encoded events and reports on each exactly once.

    ``on_delivery`` of an accepted event is called from one thread at a time, with None or the
    error; after a round of such calls the publisher calls the ``on_reports`` it was built with.
    """

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Queue one event without waiting.

        Raises:
            NotTakenError: when the queue is full, or the client can publish no more; there will be
                no report on the event.
        """

    def close(self) -> None:
        """Stop at once. Events that still wait are reported as failed."""


class KafkaPublisher:
    """Publishes through one librdkafka producer with one polling thread.

    Belongs to the process that made it. Thread-safe.
    """

    def __init__(self, configuration: Configuration, on_reports: Callable[[], None]) -> None:
        self._topic = configuration.topic
        self._on_reports = on_reports
        self._closed = threading.Event()
        try:
            self._producer = Producer(client_settings(configuration), logger=_client_logger())
        except (KafkaException, TypeError, ValueError) as error:
            raise ConfigurationError(_refusal(error, configuration)) from None
        self._produce = partial(self._producer.produce, self._topic)
        self._poller = threading.Thread(target=self._poll, name="sessionfold-poll", daemon=True)
        self._poller.start()

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Queue one event; see :class:`Publisher`."""
        try:
            self._produce(value, key, _BY_PARTITIONER, on_delivery)
        except BufferError:
            raise NotTakenError(QUEUE_IS_FULL) from None
        except KafkaException as error:
            raise NotTakenError(_sentence(error)) from error

    def close(self) -> None:
        """Stop at once; see :class:`Publisher`."""
        self._closed.set()
        if self._poller is not threading.current_thread():
            self._poller.join(_CLOSE_SECONDS)
        self._producer.purge()
        ends = time.monotonic() + _CLOSE_SECONDS
        while len(self._producer) and time.monotonic() < ends:
            self._poll_once(_POLL_SECONDS)
        self._on_reports()

    def _poll(self) -> None:
        while not self._closed.is_set():
            self._poll_once(_POLL_SECONDS)
            self._on_reports()

    def _poll_once(self, timeout_seconds: float) -> None:
        try:
            self._producer.poll(timeout_seconds)
        except KafkaException as error:
            # Fatal: the client takes no more events, which publish() says for each.
            _client_logger().error("the Kafka client has failed: %s", _sentence(error))
            self._closed.wait(timeout_seconds)


def client_settings(configuration: Configuration) -> dict[str, object]:
    """Return the settings of the Kafka client: the SDK's own, then the further ones over them."""
    return {
        "bootstrap.servers": configuration.bootstrap_servers,
        "client.id": "sessionfold",
        "enable.idempotence": True,
        "acks": "all",
        "compression.type": "zstd",
        # Java's partitioner: workers in any language put a session on the same partition.
        "partitioner": "murmur2_random",
        "linger.ms": configuration.linger_milliseconds,
        "delivery.timeout.ms": int(configuration.delivery_timeout_seconds * 1000),
        "queue.buffering.max.messages": configuration.queue_events + RESERVED_EVENTS,
        "queue.buffering.max.kbytes": configuration.queue_kilobytes,
        **configuration.kafka_settings(),
    }


def _refusal(error: Exception, configuration: Configuration) -> str:
    """Say why the client did not start; never with a setting's value, which may be a secret."""
    sentence = _sentence(error)
    for value in configuration.kafka_settings().values():
        sentence = sentence.replace(f'"{value}"', "(not shown)")
    return f"the Kafka client refuses its settings: {sentence}"


def _sentence(error: Exception) -> str:
    cause = error.args[0] if error.args else error
    return cause.str() if isinstance(cause, KafkaError) else str(cause)


class RateLimit(logging.Filter):
    """Lets at most ``lines`` records pass in each period, and says how many it held back."""

    def __init__(
        self, lines: int = _LOG_LINES, period_seconds: float = _LOG_PERIOD_SECONDS
    ) -> None:
        super().__init__()
        self._lines = lines
        self._period_seconds = period_seconds
        self._period_ends = 0.0
        self._passed = 0
        self._held = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Decide on one record by the monotonic clock."""
        now = time.monotonic()
        if now >= self._period_ends:
            if self._held:
                record.msg = f"{record.getMessage()} ({self._held} similar lines were held back)"
                record.args = ()
            self._period_ends, self._passed, self._held = now + self._period_seconds, 0, 0
        self._passed += 1
        if self._passed <= self._lines:
            return True
        self._held += 1
        return False


def _client_logger() -> logging.Logger:
    logger = logging.getLogger("sessionfold.kafka")
    if not any(isinstance(present, RateLimit) for present in logger.filters):
        logger.addFilter(RateLimit())
    return logger
