"""The SDK's settings: one immutable value, built from arguments and the environment."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from sessionfold_schemas import kafka_environment

from ._stats import Failure
from .errors import ConfigurationError

PREFIX = "SESSIONFOLD_"

_NOT_ONE_VARIABLE = ("kafka", "on_failure")

Seconds = Annotated[float, Field(ge=0, le=3600, allow_inf_nan=False)]


class Configuration(BaseModel):
    """Settings of one process. Each is also an environment variable: ``SESSIONFOLD_`` + its name.

    Any librdkafka setting goes into ``kafka``, or into the environment as ``SESSIONFOLD_KAFKA_``
    and the name with dots as underscores (``SESSIONFOLD_KAFKA_SASL_PASSWORD``). Their values never
    show in a repr or an error.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    bootstrap_servers: Annotated[str, Field(pattern=r"^[^\x00-\x1f]+$")] = "localhost:9092"
    """``host:port`` of one or more brokers, separated by commas."""
    topic: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,249}$")] = "session-updates"
    """The topic that events are published to."""
    queue_events: Annotated[int, Field(ge=1, le=10_000_000)] = 100_000
    """Events that may wait in memory for the broker."""
    queue_kilobytes: Annotated[int, Field(ge=1, le=2_097_151)] = 65_536
    """KiB that may wait in memory for the broker."""
    linger_milliseconds: Annotated[float, Field(ge=0, le=900_000)] = 10.0
    """How long an event may wait for others to share a request."""
    delivery_timeout_seconds: Annotated[float, Field(ge=1, le=2_147_483)] = 900.0
    """After this long without an acknowledgement an event is spooled, or dropped."""
    text_limit_bytes: Annotated[int, Field(ge=64, le=262_144)] = 65_536
    """Longer texts are cut at a character boundary and marked."""
    exit_timeout_seconds: Seconds = 5.0
    """How long the process may take at its end to deliver what waits."""
    end_waits: bool = False
    """Whether ``end_session`` waits for delivery when ``wait_for_flush`` is not given."""
    end_timeout_seconds: Seconds = 5.0
    """The bound of that wait."""
    on_full: Literal["spool", "block", "drop"] = "spool"
    """What becomes of an event that the queue has no room for.

    ``spool`` keeps it on disk, ``block`` lets the call wait for room and drops it after
    ``block_seconds``, ``drop`` drops it at once. With ``spool`` an event that could not be
    delivered goes to the disk, too; with the others it is dropped. What is dropped is counted.
    """
    block_seconds: Seconds = 0.1
    """With ``on_full=block``: how long a call may wait for room."""
    spool_directory: Path | None = None
    """Where undelivered events are kept; None is ``sessionfold/spool`` in the user's state folder
    (``$XDG_STATE_HOME`` or ``~/.local/state``)."""
    spool_megabytes: Annotated[int, Field(ge=1, le=1_048_576)] = 64
    """MiB that one process may keep there; what its queue holds at its end may come on top."""
    flush_on_sigterm: bool = False
    """Whether SIGTERM delivers or spools what waits before it does what it did before."""
    disabled: bool = False
    """Whether all calls do nothing."""
    on_failure: Annotated[Callable[[Failure], object] | None, Field(repr=False)] = None
    """Called with a ``Failure`` when updates are dropped or the spool cannot be used; from the
    SDK's own thread, which waits for it. Not in the environment."""
    kafka: Annotated[Mapping[str, SecretStr], Field(repr=False)] = {}
    """Further librdkafka settings; they win over the SDK's own."""

    def kafka_settings(self) -> dict[str, str]:
        """Return the further librdkafka settings in clear, for the client's constructor only."""
        return {name: value.get_secret_value() for name, value in self.kafka.items()}


def load(environment: Mapping[str, str] = os.environ, /, **settings: Any) -> Configuration:  # noqa: ANN401
    """Build the configuration; ``settings`` that are not None win over the environment.

    Raises:
        ConfigurationError: when a value is not allowed, naming the setting and what is.
    """
    values: dict[str, Any] = {
        name: environment[PREFIX + name.upper()]
        for name in Configuration.model_fields
        # An empty variable is none: compose files make them.
        if name not in _NOT_ONE_VARIABLE and environment.get(PREFIX + name.upper())
    }
    values |= {name: value for name, value in settings.items() if value is not None}
    directory = str(values.get("spool_directory", ""))
    if not directory:
        values.pop("spool_directory", None)
    elif not _fits_c(directory):
        raise ConfigurationError("the setting spool_directory is not usable: it holds U+0000")
    values["kafka"] = kafka_environment(environment) | _texts(settings.get("kafka"))
    try:
        return Configuration(**values)
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None


def _texts(settings: object) -> dict[str, Any]:
    """Write numbers and truths as librdkafka reads them."""
    if settings is None:
        return {}
    if not isinstance(settings, Mapping):
        raise ConfigurationError("the setting kafka is not usable: a mapping of names is needed")
    items = list(settings.items())
    for name, value in items:
        for text in (name, value):
            if isinstance(text, str) and not _fits_c(text):
                raise ConfigurationError(
                    f"the setting kafka.{name!r} is not usable: it holds U+0000 or half a character"
                )
    return {
        name: str(value).lower() if isinstance(value, bool | int | float) else value
        for name, value in items
    }


def _fits_c(text: str) -> bool:
    """Say whether the client, which is written in C, can be given ``text`` without a loss."""
    return "\0" not in text and not any("\ud800" <= each <= "\udfff" for each in text)


def _explain(error: ValidationError) -> str:
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    setting = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = ", ".join(sorted(Configuration.model_fields))
        return f"the setting {setting} is not usable: there is none of this name; there are {known}"
    if setting == "on_failure":
        return f"the setting on_failure is not usable: {first['msg']}"
    variable = PREFIX + setting.upper().replace(".", "_")
    return f"the setting {setting} (or {variable}) is not usable: {first['msg']}"
