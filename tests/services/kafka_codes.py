"""The error codes of the Kafka client, for tests that walk over all of them."""

from __future__ import annotations

from confluent_kafka import KafkaError, KafkaException


def error_codes() -> dict[str, int]:
    """Return the code of every error that the client has a name for."""
    names = [name for name in dir(KafkaError) if name.lstrip("_").isupper()]
    codes = {name: getattr(KafkaError, name) for name in names}
    return {name: code for name, code in codes.items() if isinstance(code, int) and code}


def kafka_error(name: str, reason: str | None = None) -> KafkaError:
    """Return the client's error of this name, with the words that it may add."""
    return KafkaError(error_codes()[name], reason)


def kafka_exception(error: KafkaError) -> KafkaException:
    """Return what the client raises for an error."""
    return KafkaException(error)
