"""The administrative side of Kafka: is a broker there, and what is the topic like.

All errors of the client end here or in ``source``; :func:`translated` is their one mapping.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from .config import Settings
from .errors import (
    BrokerRefusedError,
    BrokerUnreachableError,
    ConfigurationError,
    ConsumerError,
    TopicExistsError,
    TopicMissingError,
)
from .topic import COPIES_FOR_SAFETY, TopicDescription, wanted_settings

CONTACT_SECONDS = 10.0
"""How long a first contact may take before the program gives up with a clear sentence."""

_ATTEMPT_SECONDS = 2.0
_METADATA_SECONDS = 0.05
_MOCK_CLUSTER = "mockCluster"

client_logger = logging.getLogger("sessionfold_consumer.kafka")
"""The client's own log lines. The command line shows them with ``--verbose`` only."""

_REFUSALS = {
    KafkaError._AUTHENTICATION,
    KafkaError._SSL,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError.ILLEGAL_SASL_STATE,
    KafkaError.DELEGATION_TOKEN_AUTHORIZATION_FAILED,
    KafkaError.DELEGATION_TOKEN_EXPIRED,
}
_SILENT = {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN}
"""Errors that say that a call failed, not why."""

_MISSING = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_TOPIC}
_BAD_SETTINGS = {
    KafkaError._INVALID_ARG,
    KafkaError._CONFLICT,
    KafkaError._NOT_IMPLEMENTED,
    KafkaError._UNSUPPORTED_FEATURE,
    KafkaError.INCONSISTENT_GROUP_PROTOCOL,
    KafkaError.INVALID_CONFIG,
    KafkaError.INVALID_GROUP_ID,
    KafkaError.INVALID_PARTITIONS,
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.INVALID_SESSION_TIMEOUT,
    KafkaError.POLICY_VIOLATION,
    KafkaError.TOPIC_EXCEPTION,
    KafkaError.UNSUPPORTED_ASSIGNOR,
    KafkaError.UNSUPPORTED_VERSION,
}


class ErrorMemory:
    """Remembers why the client could not talk to a broker.

    The client retries for ever, so a wrong password looks like a broker that is away; the reason
    only shows in its error callback.
    """

    def __init__(self) -> None:
        self.first: KafkaError | None = None
        self.refusal: KafkaError | None = None

    def __call__(self, error: KafkaError) -> None:
        """Take one error from the client (``error_cb``)."""
        if error.code() in _REFUSALS:
            self.refusal = error
        # That all brokers are down is only the sum of what was said before.
        elif self.first is None and error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.first = error

    def reason(self, error: KafkaError) -> KafkaError:
        """Return what is behind an error that a call ended with."""
        return self.refusal or (self.first if error.code() in _SILENT else None) or error


class Broker:
    """One cluster, asked about itself and its topics. Not thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._errors = ErrorMemory()
        with translated(settings, self._errors):
            # The default log level prints each failed connection; the memory has the reason.
            ours: dict[str, Any] = {"log_level": 2, "error_cb": self._errors}
            self._admin = AdminClient({**ours, **settings.kafka_settings()}, logger=client_logger)

    def cluster_id(self) -> str:
        """Return the cluster's ID; so, whether a broker answers.

        Raises:
            BrokerUnreachableError: when none answered within ``CONTACT_SECONDS``.
            BrokerRefusedError: when one answered and refused.
        """
        return str(self._metadata().cluster_id)

    def partition_count(self, topic: str) -> int:
        """Return a topic's number of partitions from the metadata, which any broker answers.

        Raises:
            TopicMissingError: when there is no such topic.
        """
        # Asking for all topics: asking for one by name may create it.
        found = self._metadata().topics.get(topic)
        if found is None:
            raise TopicMissingError(topic)
        return len(found.partitions)

    def describe(self, topic: str) -> TopicDescription:
        """Return what the cluster says of a topic.

        Raises:
            TopicMissingError: when there is no such topic.
            BrokerUnreachableError, BrokerRefusedError: as for :meth:`cluster_id`.
        """
        if self._metadata().cluster_id.startswith(_MOCK_CLUSTER):
            raise ConfigurationError(
                f"the broker at {self._settings.bootstrap_servers} is the embedded one of "
                "`sessionfold dev`, which folds by itself and cannot describe topics; ask its "
                "store with: sessionfold list"
            )
        resource = ConfigResource(ResourceType.TOPIC, topic)
        with self._translated(topic):
            described = self._describe_topic(topic)
            configured = self._result(self._admin.describe_configs([resource])[resource])
        return TopicDescription(
            name=topic,
            topic_id=str(described.topic_id),
            partition_count=len(described.partitions),
            replication_factor=min(len(p.replicas) for p in described.partitions),
            settings={name: str(entry.value) for name, entry in configured.items()},
        )

    def identify(self, topic: str) -> tuple[str, int]:
        """Return a topic's ID and its number of partitions, by one question.

        Raises:
            TopicMissingError: when there is no such topic.
            BrokerUnreachableError, BrokerRefusedError: as for :meth:`cluster_id`.
        """
        with self._translated(topic):
            described = self._describe_topic(topic)
        return str(described.topic_id), len(described.partitions)

    def log_ends(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """Return the offset that the next record of each partition will have.

        What a transaction has not committed yet does not count: it cannot be read.

        Raises:
            TopicMissingError: when there is no such topic.
            BrokerUnreachableError, BrokerRefusedError: as for :meth:`cluster_id`.
        """
        with self._translated(topic):
            try:
                return self._list_ends(topic, partitions)
            except KafkaException:
                # The client goes on asking by what it knows of leaders, however old (measured: a
                # broker that was frozen refuses it so for minutes).
                self._metadata()
                return self._list_ends(topic, partitions)

    def offsets_at(self, topic: str, partitions: Sequence[int], time: int) -> dict[int, int]:
        """Return each partition's first offset whose record has this time or a later one.

        Where there is none, the offset that the next record will have.

        Args:
            topic: its name.
            partitions: of these.
            time: milliseconds since the epoch.

        Raises:
            TopicMissingError: when there is no such topic.
            BrokerUnreachableError, BrokerRefusedError: as for :meth:`cluster_id`.
        """
        ends = self.log_ends(topic, partitions)
        with self._translated(topic):
            spec = OffsetSpec.for_timestamp(max(0, time))
            found = self._list_offsets(topic, partitions, spec)
        return {each: ends[each] if offset < 0 else offset for each, offset in found.items()}

    def create(self, topic: str, partitions: int, replication_factor: int | None) -> dict[str, str]:
        """Create a topic as it should be, and return its settings.

        Args:
            topic: its name.
            partitions: their number; it can never be changed without moving sessions.
            replication_factor: copies of each event; None is three, or as many as there are
                brokers.

        Raises:
            TopicExistsError: when there is one of this name.
            ConfigurationError: when the cluster refuses the numbers.
        """
        copies = replication_factor or min(COPIES_FOR_SAFETY, len(self._metadata().brokers))
        settings = wanted_settings(copies)
        new = NewTopic(topic, num_partitions=partitions, replication_factor=copies, config=settings)
        with self._translated(topic):
            self._result(self._admin.create_topics([new])[topic])
        self._wait_until_known(topic, partitions)
        return {"replication factor": str(copies), **settings}

    def _translated(self, topic: str) -> AbstractContextManager[None]:
        """Return what turns the client's errors about a topic into ours, which name it."""
        return translated(self._settings.model_copy(update={"topic": topic}), self._errors)

    def _wait_until_known(self, topic: str, partitions: int) -> None:
        """Wait for the new topic in the metadata, which the broker gets a moment later."""
        deadline = time.monotonic() + CONTACT_SECONDS
        while time.monotonic() < deadline:
            found = self._metadata().topics.get(topic)
            if found is not None and len(found.partitions) == partitions:
                return
            time.sleep(_METADATA_SECONDS)

    def _metadata(self) -> Any:  # noqa: ANN401 - the client's class has no public name
        deadline = time.monotonic() + CONTACT_SECONDS
        with translated(self._settings, self._errors):
            while True:
                try:
                    return self._admin.list_topics(timeout=_ATTEMPT_SECONDS)
                except KafkaException:
                    self._admin.poll(0)  # lets the error callback say why
                    # A broker that is away may come; one that refuses will go on to.
                    if self._errors.refusal is not None or time.monotonic() > deadline:
                        raise

    def _describe_topic(self, topic: str) -> Any:  # noqa: ANN401 - the client's
        return self._result(self._admin.describe_topics(TopicCollection([topic]))[topic])

    def _list_ends(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        latest: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        ends = self._list_offsets(topic, partitions, latest)
        if min(ends.values()) < 0:  # so the client answers when the broker does not (measured)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return ends

    def _list_offsets(
        self, topic: str, partitions: Sequence[int], spec: OffsetSpec
    ) -> dict[int, int]:
        wanted = {TopicPartition(topic, each): spec for each in partitions}
        found = self._admin.list_offsets(
            wanted,
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=_ATTEMPT_SECONDS,
        )
        return {each.partition: int(self._result(found[each]).offset) for each in wanted}

    def _result(self, future: Future[Any]) -> Any:  # noqa: ANN401 - the client's
        try:
            return future.result(CONTACT_SECONDS)
        except TimeoutError:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT)) from None


@contextmanager
def translated(settings: Settings, errors: ErrorMemory | None = None) -> Iterator[None]:
    """Turn the client's exceptions into errors of this package, the cause kept."""
    try:
        yield
    except KafkaException as error:
        reason = error.args[0] if errors is None else errors.reason(error.args[0])
        raise translate(settings, reason) from error


def translate(settings: Settings, error: KafkaError) -> ConsumerError:
    """Return the error of this package that one of the client's means."""
    code = error.code()
    if code in _REFUSALS:
        return BrokerRefusedError(settings.bootstrap_servers, _words(settings, error))
    if code in _MISSING:
        return TopicMissingError(settings.topic)
    if code == KafkaError.TOPIC_ALREADY_EXISTS:
        return TopicExistsError(settings.topic)
    if code in _BAD_SETTINGS:
        # The name of the setting is told, not its value: it may be a secret in the wrong place.
        words = _words(settings, error)
        words = re.sub('Invalid value ".*" for', "Invalid value for", words, flags=re.DOTALL)
        return ConfigurationError(f"Kafka does not accept a setting: {words}")
    words = _words(settings, error)
    return BrokerUnreachableError(settings.bootstrap_servers, CONTACT_SECONDS, words)


def _words(settings: Settings, error: KafkaError) -> str:
    """Return the client's sentence without its state at the time, and without a secret."""
    words = error.str().partition(" (after ")[0].rstrip(": ")
    for secret in settings.secrets():
        words = words.replace(secret, "(not shown)")
    return words
