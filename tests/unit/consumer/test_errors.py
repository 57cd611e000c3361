"""Errors are an API: their codes, their tree, and what the Kafka client's become."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

import sessionfold_consumer.verify  # noqa: F401 - has an error of its own
from sessionfold_consumer import errors
from sessionfold_consumer.broker import ErrorMemory, translate, translated
from sessionfold_consumer.config import Settings
from sessionfold_consumer.errors import (
    BrokerRefusedError,
    BrokerUnreachableError,
    ConfigurationError,
    ConsumerError,
    TopicExistsError,
    TopicMissingError,
)
from tests.services.kafka_codes import error_codes, kafka_error, kafka_exception

_SETTINGS = Settings(bootstrap_servers="broker:9092", topic="the-topic")

_MEANINGS: dict[str, type[ConsumerError]] = {
    "_AUTHENTICATION": BrokerRefusedError,
    "_SSL": BrokerRefusedError,
    "SASL_AUTHENTICATION_FAILED": BrokerRefusedError,
    "UNSUPPORTED_SASL_MECHANISM": BrokerRefusedError,
    "TOPIC_AUTHORIZATION_FAILED": BrokerRefusedError,
    "GROUP_AUTHORIZATION_FAILED": BrokerRefusedError,
    "CLUSTER_AUTHORIZATION_FAILED": BrokerRefusedError,
    "UNKNOWN_TOPIC_OR_PART": TopicMissingError,
    "_UNKNOWN_TOPIC": TopicMissingError,
    "TOPIC_ALREADY_EXISTS": TopicExistsError,
    "_INVALID_ARG": ConfigurationError,
    "INVALID_REPLICATION_FACTOR": ConfigurationError,
    "INVALID_PARTITIONS": ConfigurationError,
    "INVALID_CONFIG": ConfigurationError,
    "POLICY_VIOLATION": ConfigurationError,
    "TOPIC_EXCEPTION": ConfigurationError,
    "UNSUPPORTED_VERSION": ConfigurationError,
    "INCONSISTENT_GROUP_PROTOCOL": ConfigurationError,
    "_TRANSPORT": BrokerUnreachableError,
    "_RESOLVE": BrokerUnreachableError,
    "_TIMED_OUT": BrokerUnreachableError,
    "_ALL_BROKERS_DOWN": BrokerUnreachableError,
    "REQUEST_TIMED_OUT": BrokerUnreachableError,
    "NOT_LEADER_FOR_PARTITION": BrokerUnreachableError,
    "COORDINATOR_NOT_AVAILABLE": BrokerUnreachableError,
    "KAFKA_STORAGE_ERROR": BrokerUnreachableError,
}


def classes(base: type[ConsumerError] = ConsumerError) -> Iterator[type[ConsumerError]]:
    """Return a class and all below it."""
    yield base
    for each in base.__subclasses__():
        yield from classes(each)


def test_each_error_has_an_exit_code_of_its_own() -> None:
    """A supervisor tells them apart; only a kind of a kind shares its parent's code."""
    own = [each.exit_code for each in classes() if "exit_code" in vars(each)]
    assert len(own) == len(set(own))
    assert not {0, 2} & set(own)
    without = {each for each in classes() if "exit_code" not in vars(each)}
    assert {each for each in without if each.__base__ is errors.ConsumerError} == {
        errors.StoreError
    }


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    """It lists every class below its base, with its code, or with none where it has none."""
    lines = re.findall(r"^    ([│├└─ ]*)(\w+Error) *(\d*)", errors.__doc__ or "", re.MULTILINE)
    drawn, path = {}, list[str]()
    for branch, name, code in lines:
        path[len(branch) // 4 :] = [name]
        drawn[name] = (path[-2] if len(path) > 1 else "Exception", code)
    assert drawn == {
        each.__name__: (
            each.__base__.__name__ if each.__base__ else "",
            "" if each is errors.StoreError else str(each.exit_code),
        )
        for each in classes()
    }


@pytest.mark.parametrize("name", error_codes())
def test_every_error_of_the_client_becomes_one_of_ours(name: str) -> None:
    """None escapes, each keeps the client's words, and one line says it."""
    found = translate(_SETTINGS, kafka_error(name, "what the client said"))
    assert isinstance(found, ConsumerError)
    assert type(found) is not ConsumerError
    assert "\n" not in str(found)
    if not isinstance(found, TopicMissingError | TopicExistsError):
        assert "what the client said" in str(found)


@pytest.mark.parametrize(("name", "meaning"), _MEANINGS.items())
def test_errors_of_the_client_mean_what_a_person_has_to_do(
    name: str, meaning: type[ConsumerError]
) -> None:
    """Wait, change the rights, change a setting, or make the topic: not the same advice."""
    assert type(translate(_SETTINGS, kafka_error(name))) is meaning


def test_the_cause_is_kept() -> None:
    """Who needs the client's own error finds it behind ours."""
    cause = kafka_exception(kafka_error("_TRANSPORT"))
    with pytest.raises(BrokerUnreachableError) as caught, translated(_SETTINGS):
        raise cause
    assert caught.value.__cause__ is cause


def test_a_value_that_kafka_refuses_is_not_repeated() -> None:
    """It may be a secret in the wrong variable; the setting's name is enough to find it."""
    words = 'Invalid value "hunter2 "quoted"\nin two lines" for configuration property "acks"'
    text = str(translate(_SETTINGS, kafka_error("_INVALID_ARG", words)))
    assert "hunter2" not in text
    assert 'for configuration property "acks"' in text


def test_no_message_shows_a_secret() -> None:
    """Whatever the client puts into its words, and where one secret is a part of another."""
    secrets = {
        "sasl.password": "hunter2",
        "ssl.key.password": "hunter2-long",
        "client.id": "public",
    }
    settings = Settings.model_validate({"kafka": secrets})
    for name in ("_INVALID_ARG", "_AUTHENTICATION", "_TRANSPORT"):
        words = kafka_error(name, "public user with hunter2-long and hunter2")
        text = str(translate(settings, words))
        assert "public user with (not shown) and (not shown)" in text


def test_what_was_refused_wins_over_the_silence_after_it() -> None:
    """The client retries for ever: a wrong password ends in a time-out, as an absence does."""
    memory = ErrorMemory()
    memory(kafka_error("_ALL_BROKERS_DOWN", "1/1 brokers are down"))
    memory(kafka_error("_TRANSPORT", "connection refused"))
    with pytest.raises(BrokerUnreachableError, match="connection refused"):
        _time_out(memory)
    memory(kafka_error("_AUTHENTICATION", "invalid credentials"))
    memory(kafka_error("_TRANSPORT", "disconnected"))
    with pytest.raises(BrokerRefusedError, match="invalid credentials"):
        _time_out(memory)


def test_an_answer_is_not_hidden_by_an_older_silence() -> None:
    """A broker that answers in the end says the truth."""
    memory = ErrorMemory()
    memory(kafka_error("_TRANSPORT", "connection refused"))
    with pytest.raises(TopicMissingError), translated(_SETTINGS, memory):
        raise kafka_exception(kafka_error("UNKNOWN_TOPIC_OR_PART"))


def _time_out(memory: ErrorMemory) -> None:
    with translated(_SETTINGS, memory):
        raise kafka_exception(kafka_error("_TIMED_OUT", "no answer"))
