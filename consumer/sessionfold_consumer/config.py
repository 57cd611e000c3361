"""The service's settings: one immutable value, built by one function from options and environment.

The command line gives its options here; nothing else reads the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
)

from sessionfold_schemas import KAFKA_PREFIX, kafka_environment

from .errors import ConfigurationError
from .store import Gap

_SECRETS = ("password", "passphrase", "secret", "pem", "sasl.jaas", "oauthbearer.config")

_FIXED = {
    "bootstrap.servers": "use --bootstrap-servers or SESSIONFOLD_BOOTSTRAP_SERVERS",
    "metadata.broker.list": "use --bootstrap-servers or SESSIONFOLD_BOOTSTRAP_SERVERS",
    "group.id": "use --group-id or SESSIONFOLD_GROUP_ID",
    "group.instance.id": "use --group-instance-id or SESSIONFOLD_GROUP_INSTANCE_ID",
    "group.protocol": "use --group-protocol or SESSIONFOLD_GROUP_PROTOCOL",
    "auto.offset.reset": "it would skip or repeat records when the log has none at the position",
    "enable.partition.eof": "without it the end of a partition is not seen",
    "isolation.level": "records of transactions that were aborted are never folded",
    "partition.assignment.strategy": "partitions are handed over one by one (cooperative-sticky)",
}
"""librdkafka settings that the service depends on, and why they cannot be given."""

_NOT_TEXT = re.compile(r".*_cb|logger|default\.topic\.config")
"""Names of the Python client for what is no text."""


def _topic_name(name: str) -> str:
    if re.fullmatch(r"[A-Za-z0-9._-]{1,249}", name) is None:
        raise ValueError(
            f"{name!r} is no name of a topic; 1 to 249 letters, digits, dots, underscores and "
            "hyphens are"
        )
    return name


def _parsed_gap(text: object) -> object:
    """Return the gap that ``PARTITION:FIRST-LAST`` names, both included; a gap as it is."""
    if not isinstance(text, str):
        return text
    found = re.fullmatch(r"(\d{1,9}):(\d{1,19})-(\d{1,19})", text)
    if found is None or int(found[2]) > int(found[3]):
        raise ValueError(
            f"{text!r} names no deleted records; write PARTITION:FIRST-LAST, as 3:0-99"
        )
    partition, first, last = map(int, found.groups())
    return Gap(partition=partition, first=first, end=last + 1)


class Settings(BaseModel):
    """Settings of one run. Values of ``kafka`` never show in a repr or an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap_servers: Annotated[str, Field(min_length=1)] = "localhost:9092"
    """``host:port`` of one or more brokers, separated by commas."""
    topic: Annotated[str, AfterValidator(_topic_name)] = "session-updates"
    """The topic to fold."""
    store: Annotated[str, Field(min_length=1, repr=False)] = "sqlite:///sessions.db"
    """The URL of the store."""
    group_id: Annotated[str, Field(min_length=1, max_length=249)] | None = None
    """The consumer group; None is ``sessionfold-`` and the store's own ID."""
    group_protocol: Literal["classic", "consumer"] = "classic"
    """Kafka's group protocol: ``classic``, or ``consumer`` (KIP-848, brokers from 4.0 on)."""
    batch_records: Annotated[int, Field(ge=1, le=1_000_000)] = 50_000
    """The most records that are folded and stored in one transaction."""
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    """How many processes fold, each a part of the partitions; together they may hold as much in
    memory as one."""
    group_instance_id: Annotated[str, Field(min_length=1, max_length=249)] | None = None
    """A name of this process in the group that outlives it (static membership, KIP-345)."""
    breaker_ratio: Annotated[float, Field(gt=0, le=1)] = 0.5
    """Stop when a larger part of the last 1,000 records or more is refused; 1 is never."""
    breaker_run: Annotated[int, Field(ge=0)] = 1_000
    """Stop when so many records in a row are refused; 0 is never."""
    accept_gap: tuple[Annotated[Gap, BeforeValidator(_parsed_gap)], ...] = ()
    """Deleted records to pass over, each as ``PARTITION:FIRST-LAST``."""
    kafka: Annotated[Mapping[str, SecretStr], Field(repr=False)] = {}
    """Further librdkafka settings; they win over the service's own."""

    @property
    def part_records(self) -> int:
        """The most records that one of the processes folds and stores in one transaction."""
        return max(1, self.batch_records // self.processes)

    def kafka_settings(self) -> dict[str, Any]:
        """Return what every client of the service starts from; secrets in clear."""
        return {
            "bootstrap.servers": self.bootstrap_servers,
            "client.id": "sessionfold",
            **{name: value.get_secret_value() for name, value in self.kafka.items()},
        }

    def secrets(self) -> list[str]:
        """Return the values that no message may show, the longest first."""
        given = [value for name, value in self.kafka.items() if _is_secret(name)]
        return sorted(filter(None, (each.get_secret_value() for each in given)), key=len)[::-1]


def _is_secret(name: str) -> bool:
    return any(word in name for word in _SECRETS)


def load(
    settings: Mapping[str, object],
    kafka_options: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
) -> Settings:
    """Build the settings.

    Args:
        settings: the fields of :class:`Settings`; None is the default.
        kafka_options: ``name=value`` of librdkafka settings; they win over the environment's.
        environment: where ``SESSIONFOLD_KAFKA_…`` is looked up: the name in capitals with
            underscores for dots, as in ``SESSIONFOLD_KAFKA_SASL_PASSWORD``.

    Raises:
        ConfigurationError: when a value is not allowed, naming the setting and what is.
    """
    given = {name: value for name, value in settings.items() if value is not None}
    kafka = kafka_environment(environment) | dict(map(_kafka_option, kafka_options))
    for name in kafka:
        _refuse_fixed(name)
    try:
        return Settings.model_validate({**given, "kafka": kafka})
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None


def _refuse_fixed(name: str) -> None:
    if name in _FIXED:
        raise ConfigurationError(f"the Kafka setting {name} cannot be given: {_FIXED[name]}")
    if _NOT_TEXT.fullmatch(name):
        raise ConfigurationError(f"{name} is no setting that can be given as text; leave it out")


def _kafka_option(option: str) -> tuple[str, str]:
    name, equals, value = option.partition("=")
    if not equals or not name:
        # Not the option itself: what has no name may be a secret.
        raise ConfigurationError(
            "a --kafka option has no name or no value; write it as name=value, as in --kafka "
            "security.protocol=SASL_SSL"
        )
    if _is_secret(name):
        variable = KAFKA_PREFIX + name.upper().replace(".", "_")
        raise ConfigurationError(
            f"{name} is a secret, and other users can read command lines; set the environment "
            f"variable {variable} instead"
        )
    return name, value


def _explain(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    name = ".".join(str(part) for part in first["loc"])
    words = str(first["msg"]).removeprefix("Value error, ")
    option, variable = name.replace("_", "-"), f"SESSIONFOLD_{name.upper()}"
    return f"--{option} (or {variable}) is not usable: {words}"
