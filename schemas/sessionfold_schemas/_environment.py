"""How environment variables name settings of the Kafka client, for both sides alike."""

from __future__ import annotations

from collections.abc import Mapping

KAFKA_PREFIX = "SESSIONFOLD_KAFKA_"
"""Begins a variable that gives a librdkafka setting, as in ``SESSIONFOLD_KAFKA_SASL_PASSWORD``."""


def kafka_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the librdkafka settings that the environment gives, by librdkafka's names.

    A variable is :data:`KAFKA_PREFIX` and the setting's name in capitals, underscores for dots.
    """
    return {
        _setting(variable): value
        for variable, value in environment.items()
        if variable.startswith(KAFKA_PREFIX)
    }


def _setting(variable: str) -> str:
    name = variable.removeprefix(KAFKA_PREFIX).lower().replace("_", ".")
    return "log_level" if name == "log.level" else name  # the only one without a dot
