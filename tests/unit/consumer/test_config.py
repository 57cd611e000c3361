"""Settings: where they come from, what is refused, and what never shows."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from sessionfold_consumer.config import Settings, load
from sessionfold_consumer.errors import ConfigurationError
from sessionfold_consumer.store import Gap

CANARY = "hunter2-canary"


def test_defaults_are_those_of_the_manual() -> None:
    """A local broker, one topic, a file beside the caller, the classic protocol."""
    settings = load({}, environment={})
    assert settings == Settings(
        bootstrap_servers="localhost:9092",
        topic="session-updates",
        store="sqlite:///sessions.db",
        group_id=None,
        group_protocol="classic",
        batch_records=50_000,
        kafka={},
    )
    assert settings.kafka_settings() == {
        "bootstrap.servers": "localhost:9092",
        "client.id": "sessionfold",
    }


def test_none_is_the_default_and_anything_else_is_taken() -> None:
    """Options that were not given do not hide the defaults."""
    settings = load({"topic": None, "store": "sqlite:///x.db", "batch_records": 7}, environment={})
    assert (settings.topic, settings.store, settings.batch_records) == (
        "session-updates",
        "sqlite:///x.db",
        7,
    )


def test_the_environment_gives_librdkafka_settings_by_their_names() -> None:
    """Capitals and underscores for librdkafka's small letters and dots; others are not read."""
    environment = {
        "SESSIONFOLD_KAFKA_SASL_PASSWORD": CANARY,
        "SESSIONFOLD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "SESSIONFOLD_KAFKA_LOG_LEVEL": "3",
        "SESSIONFOLD_TOPIC": "not read here",
        "KAFKA_CLIENT_ID": "another program's",
    }
    kafka = load({}, environment=environment).kafka_settings()
    assert kafka["sasl.password"] == CANARY
    assert kafka["security.protocol"] == "SASL_SSL"
    assert kafka["log_level"] == "3"
    assert len(kafka) == 5


def test_options_win_over_the_environment_and_both_over_the_service() -> None:
    """The last of several options for one setting wins; a value may hold the equals sign."""
    options = ("client.id=first", "client.id=a=b", "debug=")
    environment = {"SESSIONFOLD_KAFKA_CLIENT_ID": "environment"}
    kafka = load({}, options, environment).kafka_settings()
    assert (kafka["client.id"], kafka["debug"]) == ("a=b", "")
    assert load({}, (), environment).kafka_settings()["client.id"] == "environment"


@pytest.mark.parametrize("option", ["", "client.id", "=value", CANARY])
def test_an_option_without_a_name_is_refused_and_not_repeated(option: str) -> None:
    """What has no name may be a secret."""
    with pytest.raises(
        ConfigurationError, match="has no name or no value; write it as name=value"
    ) as caught:
        load({}, (option,), {})
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
        " sasl.password",
    ],
)
def test_a_secret_is_refused_on_the_command_line(name: str) -> None:
    """The message names the variable to use instead, and does not repeat the secret."""
    with pytest.raises(ConfigurationError) as caught:
        load({}, (f"{name}={CANARY}",), {})
    assert f"SESSIONFOLD_KAFKA_{name.upper().replace('.', '_')}" in str(caught.value)
    assert CANARY not in str(caught.value)


def test_a_secret_never_shows() -> None:
    """Neither in the settings' repr nor in an error about them or about their neighbours."""
    environment = {"SESSIONFOLD_KAFKA_SASL_PASSWORD": CANARY}
    settings = load({"store": f"sqlite:///{CANARY}"}, environment=environment)
    assert CANARY not in repr(settings)
    assert CANARY not in str(settings)
    with pytest.raises(ConfigurationError) as caught:
        load({"batch_records": 0}, environment=environment)
    assert CANARY not in str(caught.value)
    assert caught.value.__cause__ is None
    with pytest.raises(ConfigurationError) as caught:
        load({"batch_records": CANARY}, environment=environment)
    assert CANARY not in str(caught.value)
    with pytest.raises(ValidationError) as refused:
        Settings.model_validate({"batch_records": CANARY})
    assert CANARY not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("topic", "two words", "'two words' is no name of a topic; 1 to 249 letters"),
        ("topic", "x" * 250, "1 to 249 letters"),
        ("topic", "", "1 to 249 letters"),
        ("bootstrap_servers", "", "at least 1 character"),
        ("store", "", "at least 1 character"),
        ("group_id", "", "at least 1 character"),
        ("group_protocol", "eager", "'classic' or 'consumer'"),
        ("batch_records", 0, "greater than or equal to 1"),
        ("batch_records", 1_000_001, "less than or equal to 1000000"),
    ],
)
def test_a_value_that_cannot_work_is_refused(name: str, value: object, words: str) -> None:
    """The message names option, variable and what is allowed."""
    with pytest.raises(ConfigurationError) as caught:
        load({name: value}, environment={})
    message = str(caught.value)
    assert message.startswith(
        f"--{name.replace('_', '-')} (or SESSIONFOLD_{name.upper()}) is not usable: "
    )
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["a", "x" * 249, "Session.updates_2-x"])
def test_every_name_that_kafka_takes_is_a_topic(name: str) -> None:
    """At the bounds of length, and with each kind of character."""
    assert load({"topic": name}, environment={}).topic == name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bootstrap.servers", "--bootstrap-servers"),
        ("metadata.broker.list", "--bootstrap-servers"),
        ("group.id", "--group-id"),
        ("group.protocol", "--group-protocol"),
        ("auto.offset.reset", "skip or repeat records"),
        ("enable.partition.eof", "the end of a partition is not seen"),
        ("isolation.level", "aborted"),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("error_cb", "no setting that can be given as text"),
        ("logger", "no setting that can be given as text"),
        ("default.topic.config", "no setting that can be given as text"),
    ],
)
def test_what_the_service_depends_on_cannot_be_given(name: str, words: str) -> None:
    """Neither by option nor by variable: the fold would be wrong without any sign of it."""
    with pytest.raises(ConfigurationError, match=words):
        load({}, (f"{name}=x",), {})
    if "_" not in name:
        with pytest.raises(ConfigurationError, match=words):
            load({}, (), {"SESSIONFOLD_KAFKA_" + name.upper().replace(".", "_"): "x"})


def test_an_unknown_setting_is_refused() -> None:
    """A misspelt field must not be lost."""
    with pytest.raises(ConfigurationError, match=r"--batch-size .* is not usable"):
        load({"batch_size": 3}, environment={})


def test_an_accepted_gap_names_its_first_and_last_offset() -> None:
    """As the error about a truncated log writes it; several may be given."""
    settings = load({"accept_gap": ("3:0-99", "0:7-7")})
    assert settings.accept_gap == (
        Gap(partition=3, first=0, end=100),
        Gap(partition=0, first=7, end=8),
    )


@pytest.mark.parametrize("text", ["3", "3:9", "3:9-8", "-1:0-9", "a:0-9", "3:0-9 ", "3:0-"])
def test_what_names_no_gap_is_refused(text: str) -> None:
    """In one sentence that shows how to write it."""
    with pytest.raises(ConfigurationError, match="write PARTITION:FIRST-LAST, as 3:0-99"):
        load({"accept_gap": (text,)})
