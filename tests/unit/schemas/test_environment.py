"""Variables that give the Kafka client's settings are read alike by worker and service."""

from __future__ import annotations

import pytest

import sessionfold._config
import sessionfold_consumer.config
from sessionfold_schemas import KAFKA_PREFIX, kafka_environment

ENVIRONMENT = {
    "SESSIONFOLD_KAFKA_SASL_PASSWORD": "p",
    "SESSIONFOLD_KAFKA_LOG_LEVEL": "3",
    "SESSIONFOLD_KAFKA_SSL_CA_LOCATION": "/CA_1",
    "SESSIONFOLD_TOPIC": "t",
    "KAFKA_CLIENT_ID": "another program's",
}
SETTINGS = {"sasl.password": "p", "log_level": "3", "ssl.ca.location": "/CA_1"}


def test_variables_give_settings_by_librdkafkas_names() -> None:
    """Dots for underscores, but for ``log_level``; values as they are, other variables not read."""
    assert kafka_environment(ENVIRONMENT) == SETTINGS


@pytest.mark.parametrize("side", ["worker", "service"])
def test_both_sides_read_the_same(side: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is exported once for a host holds for every program of ours on it."""
    for variable, value in ENVIRONMENT.items():
        monkeypatch.setenv(variable, value)
    if side == "worker":
        settings = sessionfold._config.load().kafka_settings()
    else:
        settings = sessionfold_consumer.config.load({}).kafka_settings()
    assert settings.items() >= SETTINGS.items()


def test_the_prefix_is_that_of_the_manual() -> None:
    """Error messages name variables with it."""
    assert KAFKA_PREFIX == "SESSIONFOLD_KAFKA_"
