"""The settings: one value, from arguments and the environment; secrets stay secret."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

import sessionfold as lai
from sessionfold._config import load
from sessionfold._publisher import KafkaPublisher, client_settings

SECRET = "hunter2"  # noqa: S105 - the one that must not show


def test_settings_come_from_the_environment() -> None:
    """Each under its name, and any setting of librdkafka."""
    configuration = load(
        {
            "SESSIONFOLD_BOOTSTRAP_SERVERS": "kafka:9092",
            "SESSIONFOLD_TOPIC": "t",
            "SESSIONFOLD_END_WAITS": "true",
            "SESSIONFOLD_EXIT_TIMEOUT_SECONDS": "1.5",
            "SESSIONFOLD_KAFKA_SASL_USERNAME": "me",
            "PATH": "/bin",
        }
    )
    assert configuration.bootstrap_servers == "kafka:9092"
    assert (configuration.topic, configuration.end_waits) == ("t", True)
    assert configuration.exit_timeout_seconds == 1.5
    assert configuration.kafka_settings() == {"sasl.username": "me"}


def test_arguments_win_over_the_environment() -> None:
    """One by one; librdkafka's settings, too. None is not given."""
    environment = {
        "SESSIONFOLD_TOPIC": "t",
        "SESSIONFOLD_KAFKA_SASL_USERNAME": "me",
        "SESSIONFOLD_KAFKA_SSL_CA_LOCATION": "/ca",
    }
    configuration = load(
        environment, topic="u", bootstrap_servers=None, kafka={"sasl.username": "you"}
    )
    assert configuration.topic == "u"
    assert configuration.bootstrap_servers == "localhost:9092"
    assert configuration.kafka_settings() == {"sasl.username": "you", "ssl.ca.location": "/ca"}


def test_further_settings_may_be_numbers_and_truths() -> None:
    """As Python writes them; librdkafka wants text."""
    configuration = load({}, kafka={"socket.timeout.ms": 5, "socket.keepalive.enable": True})
    assert configuration.kafka_settings() == {
        "socket.timeout.ms": "5",
        "socket.keepalive.enable": "true",
    }


@pytest.mark.parametrize(
    ("name", "value", "variable"),
    [
        ("topic", "a topic", "SESSIONFOLD_TOPIC"),
        ("bootstrap_servers", "", "SESSIONFOLD_BOOTSTRAP_SERVERS"),
        ("queue_events", "many", "SESSIONFOLD_QUEUE_EVENTS"),
        ("queue_events", 0, "SESSIONFOLD_QUEUE_EVENTS"),
        ("exit_timeout_seconds", float("inf"), "SESSIONFOLD_EXIT_TIMEOUT_SECONDS"),
        ("text_limit_bytes", 10, "SESSIONFOLD_TEXT_LIMIT_BYTES"),
        ("on_full", "explode", "SESSIONFOLD_ON_FULL"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_by_name(
    name: str,
    value: Any,  # noqa: ANN401
    variable: str,
) -> None:
    """With the variable, since that is where most come from."""
    with pytest.raises(lai.ConfigurationError, match=f"^the setting {name} .or {variable}. is not"):
        load({}, **{name: value})


def test_a_setting_that_is_not_there_is_refused_with_those_that_are() -> None:
    """A name that was mistyped is next to the one that was meant."""
    with pytest.raises(lai.ConfigurationError, match=r"^the setting on_ful is .* on_full, "):
        load({}, on_ful="drop")


def test_an_empty_variable_is_none() -> None:
    """Compose files make them of variables that are not set."""
    names = ("TOPIC", "DISABLED", "SPOOL_DIRECTORY", "QUEUE_EVENTS")
    empty = {f"SESSIONFOLD_{name}": "" for name in names}
    assert load(empty) == load({}) == load({}, spool_directory="")


def test_a_bad_variable_is_an_error_of_the_first_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not of the import, and no pydantic error."""
    monkeypatch.setenv("SESSIONFOLD_TOPIC", "a topic")
    with pytest.raises(lai.ConfigurationError, match="SESSIONFOLD_TOPIC"):
        lai.configure()


def test_a_configuration_does_not_change() -> None:
    """It is a value."""
    with pytest.raises(ValidationError, match="frozen"):
        load({}).topic = "u"


def test_secrets_show_in_no_repr_and_no_error() -> None:
    """Neither their values nor, in an error, what stood in their place."""
    configuration = load({"SESSIONFOLD_KAFKA_SASL_PASSWORD": SECRET})
    assert SECRET not in repr(configuration)
    assert SECRET not in str(configuration)
    with pytest.raises(lai.ConfigurationError) as caught:
        load({"SESSIONFOLD_KAFKA_SASL_PASSWORD": SECRET}, kafka={"sasl.username": [SECRET]})
    assert SECRET not in str(caught.value)
    assert "SESSIONFOLD_KAFKA_SASL_USERNAME" in str(caught.value)


@pytest.mark.parametrize("setting", ["security.protocol", "no.such.setting", "acks", "error_cb"])
def test_what_the_client_refuses_is_told_without_its_value(setting: str) -> None:
    """A secret in the wrong place is still a secret."""
    configuration = load({}, kafka={setting: SECRET})
    with pytest.raises(
        lai.ConfigurationError, match=r"^the Kafka client refuses its settings: "
    ) as e:
        KafkaPublisher(configuration)
    assert SECRET not in str(e.value)
    assert setting in str(e.value)


def test_the_client_takes_the_one_setting_whose_name_has_no_dot() -> None:
    """The variable that makes it quieter, of all, must not stop a worker."""
    configuration = load({"SESSIONFOLD_KAFKA_LOG_LEVEL": "3"}, bootstrap_servers="127.0.0.1:1")
    KafkaPublisher(configuration).close()


def test_the_client_is_set_up_not_to_lose_or_reorder() -> None:
    """Idempotent, acknowledged by all, partitioned as Java does; the user's settings win."""
    settings = client_settings(load({}, kafka={"compression.type": "lz4"}))
    assert settings["enable.idempotence"] is True
    assert settings["acks"] == "all"
    assert settings["max.in.flight"] == 1
    assert settings["partitioner"] == "murmur2_random"
    assert settings["compression.type"] == "lz4"
