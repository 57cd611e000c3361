"""The boundary to Kafka: the protocol, and confluent-kafka behind it.

Facts of the client that force this shape: ``poll()`` must run or delivery reports are never seen
and the queue never empties; with ``logger=`` set its log lines come out of ``poll()`` instead of on
stderr; only ``flush()`` sends before the linger time is over; an instance inherited over a fork
accepts events and loses them without an error.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from confluent_kafka import KafkaError, KafkaException, Producer

from . import _inherited
from ._config import Configuration
from ._inbox import RESERVED_EVENTS
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

_BY_PARTITIONER = -1
_LOG_LINES = 5
_LOG_PERIOD_SECONDS = 60.0
_CLOSE_SECONDS = 2.0
_POLL_SECONDS = 0.05
_MOST_KILOBYTES = 2_147_483_647

# Errors that are about the event itself: it would fail again.
_REFUSALS = {
    KafkaError.MSG_SIZE_TOO_LARGE,
    KafkaError.INVALID_RECORD,
    KafkaError.INVALID_MSG,
    KafkaError.RECORD_LIST_TOO_LARGE,
}

QUEUE_IS_FULL = "the queue is full"


class NotTakenError(Exception):
    """Raised by :meth:`Publisher.publish` when it did not take the event; says why in a clause.

    Attributes:
        final: whether this event can never be taken, so that there is no sense in trying again.
    """

    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


class Publisher(Protocol):
    """Takes encoded events and reports on each exactly once. One thread uses it at a time."""

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Queue one event without waiting; its report comes out of a later :meth:`poll`.

        Raises:
            NotTakenError: when the queue is full, or the client can publish no more; there will be
                no report on the event.
        """

    def poll(self, timeout_seconds: float, *, hurry: bool = False) -> None:
        """Call the ``on_delivery`` of the events that are settled.

        Args:
            timeout_seconds: how long to wait for the first.
            hurry: send at once what waits for others to share a request.
        """

    def close(self) -> None:
        """Stop at once. Events that still wait are reported as failed."""

    def has_failed(self) -> bool:
        """Say whether it can publish no more, so that another is needed."""

    def is_refusal(self, error: DeliveryError) -> bool:
        """Say whether ``error`` is about the event itself, which would fail again."""


class KafkaPublisher:
    """Publishes through one librdkafka producer. Belongs to the process that made it."""

    def __init__(self, configuration: Configuration) -> None:
        self._failed = False
        try:
            self._producer = Producer(client_settings(configuration), logger=_client_logger())
        except (KafkaException, TypeError, ValueError) as error:
            raise ConfigurationError(_refusal(error, configuration)) from None
        self._produce = partial(self._producer.produce, configuration.topic)
        _inherited.know(self)

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Queue one event; see :class:`Publisher`."""
        try:
            self._produce(value, key, _BY_PARTITIONER, on_delivery)
        except BufferError:
            raise NotTakenError(QUEUE_IS_FULL) from None
        except KafkaException as error:
            final = error.args[0].code() in _REFUSALS
            raise NotTakenError(_sentence(error), final=final) from error

    def poll(self, timeout_seconds: float, *, hurry: bool = False) -> None:
        """Take delivery reports; see :class:`Publisher`."""
        try:
            if hurry:
                self._producer.flush(timeout_seconds)
            else:
                self._producer.poll(timeout_seconds)
        except KafkaException as error:
            if not self._failed:
                _client_logger().error("the Kafka client has failed: %s", _sentence(error))
            self._failed = True

    def close(self) -> None:
        """Stop at once; see :class:`Publisher`."""
        self._producer.purge()
        ends = time.monotonic() + _CLOSE_SECONDS
        while len(self._producer) and time.monotonic() < ends:
            self.poll(_POLL_SECONDS)

    def has_failed(self) -> bool:
        """Say whether the client has met an error that it cannot recover from."""
        return self._failed

    def is_refusal(self, error: DeliveryError) -> bool:
        """Say whether the broker refuses the event itself."""
        return isinstance(error, KafkaError) and error.code() in _REFUSALS


def client_settings(configuration: Configuration) -> dict[str, object]:
    """Return the settings of the Kafka client: the SDK's own, then the further ones over them."""
    return {
        "bootstrap.servers": configuration.bootstrap_servers,
        "client.id": "sessionfold",
        "enable.idempotence": True,
        "acks": "all",
        # With more, a broker that was fenced can lose a batch that the client then reports as
        # delivered, since a later one was taken.
        "max.in.flight": 1,
        "compression.type": "zstd",
        # Java's partitioner: workers in any language put a session on the same partition.
        "partitioner": "murmur2_random",
        "linger.ms": configuration.linger_milliseconds,
        "delivery.timeout.ms": int(configuration.delivery_timeout_seconds * 1000),
        # The bounds are the inbox's, by the same numbers; the client's own must not be met first.
        "queue.buffering.max.messages": 2 * (configuration.queue_events + RESERVED_EVENTS),
        "queue.buffering.max.kbytes": min(
            _MOST_KILOBYTES, 2 * configuration.queue_kilobytes + 4096
        ),
        **configuration.kafka_settings(),
    }


def sentence(error: DeliveryError) -> str:
    """Return a delivery error in the client's words, without the names of class and code."""
    return error.str() if isinstance(error, KafkaError) else str(error)


def _refusal(error: Exception, configuration: Configuration) -> str:
    """Say why the client did not start; never with a setting's value, which may be a secret."""
    words = _sentence(error)
    for value in configuration.kafka_settings().values():
        words = words.replace(f'"{value}"', "(not shown)")
    return f"the Kafka client refuses its settings: {words}"


def _sentence(error: Exception) -> str:
    return sentence(error.args[0] if error.args else error)


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
