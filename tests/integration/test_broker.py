"""The administrative side of a real broker: topics as they are made, described and identified."""

from __future__ import annotations

import pytest

from sessionfold_consumer import broker as broker_module
from sessionfold_consumer.broker import Broker
from sessionfold_consumer.config import Settings
from sessionfold_consumer.errors import (
    BrokerUnreachableError,
    ConfigurationError,
    TopicExistsError,
    TopicMissingError,
)
from sessionfold_consumer.topic import deviations, wanted_settings
from tests.services import kafka
from tests.services.kafka_configuration import free_ports
from tests.services.topics import add_partitions, create_topic, delete_topic, unique_topic_name

pytestmark = pytest.mark.kafka


@pytest.fixture
def admin(broker: kafka.Broker) -> Broker:
    """Our side of the broker."""
    return Broker(Settings(bootstrap_servers=broker.bootstrap_servers))


@pytest.fixture
def name() -> str:
    """The name of a topic that does not exist."""
    return unique_topic_name()


def test_a_created_topic_is_as_it_should_be(admin: Broker, name: str) -> None:
    """What create asked for is what describe tells; one broker can have one copy only."""
    made = admin.create(name, 5, None)
    found = admin.describe(name)
    assert made == {"replication factor": "1", **wanted_settings(1)}
    assert (found.name, found.partition_count, found.replication_factor) == (name, 5, 1)
    assert {each: found.settings[each] for each in wanted_settings(1)} == wanted_settings(1)
    assert [each.setting for each in deviations(found)] == ["replication factor"]


def test_a_created_topic_is_there_at_once(admin: Broker) -> None:
    """Whoever makes a topic may use it in the next line."""
    for _ in range(20):
        name = unique_topic_name()
        admin.create(name, 12, 1)
        assert admin.partition_count(name) == 12
        assert admin.identify(name)[1] == 12


def test_a_topic_is_not_created_twice(admin: Broker, name: str) -> None:
    """The one that exists stays as it is."""
    admin.create(name, 5, 1)
    with pytest.raises(TopicExistsError, match=name):
        admin.create(name, 6, 1)
    assert admin.partition_count(name) == 5


@pytest.mark.parametrize(
    ("topic", "partitions", "copies"), [(None, 5, 3), (".", 5, 1), ("x" * 250, 5, 1)]
)
def test_what_the_cluster_cannot_do_is_a_setting_to_change(
    admin: Broker, name: str, topic: str | None, partitions: int, copies: int
) -> None:
    """More copies than brokers, or a name that Kafka refuses: not a broker that is away."""
    with pytest.raises(ConfigurationError, match="Kafka does not accept a setting: "):
        admin.create(topic or name, partitions, copies)


def test_a_missing_topic_is_named_and_not_made_by_asking(admin: Broker, name: str) -> None:
    """Each question says the same."""
    for _ in range(2):
        with pytest.raises(TopicMissingError, match=name):
            admin.describe(name)
        with pytest.raises(TopicMissingError, match=name):
            admin.identify(name)
        with pytest.raises(TopicMissingError, match=name):
            admin.partition_count(name)


def test_what_is_described_is_what_the_topic_has(broker: kafka.Broker, admin: Broker) -> None:
    """Settings that somebody chose otherwise are found."""
    name = unique_topic_name()
    create_topic(broker, name, 2, cleanup_policy="compact,delete", retention_ms="1000")
    found = {each.setting: each.found for each in deviations(admin.describe(name))}
    assert found["cleanup.policy"] in ("compact,delete", "delete,compact")
    assert found["retention.ms"] == "1000"


def test_a_topics_identity_is_its_own(broker: kafka.Broker, admin: Broker, name: str) -> None:
    """Kept as long as the topic lives, more partitions or not; another one after a deletion."""
    create_topic(broker, name, 3)
    first, count = admin.identify(name)
    assert (first, count) == (admin.describe(name).topic_id, 3)
    add_partitions(broker, name, 4)
    assert admin.identify(name) == (first, 4)
    delete_topic(broker, name)
    create_topic(broker, name, 4)
    second, count = admin.identify(name)
    assert second != first
    assert count == 4


def test_the_cluster_has_one_identity(broker: kafka.Broker, admin: Broker) -> None:
    """Whoever asks."""
    other = Broker(Settings(bootstrap_servers=broker.bootstrap_servers))
    assert admin.cluster_id() == other.cluster_id() != ""


def test_an_absent_broker_is_told_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's time-out alone would not say that nothing listens there."""
    monkeypatch.setattr(broker_module, "CONTACT_SECONDS", 0.5)
    monkeypatch.setattr(broker_module, "_ATTEMPT_SECONDS", 0.3)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with pytest.raises(BrokerUnreachableError, match="Connection refused") as caught:
        Broker(Settings(bootstrap_servers=address)).cluster_id()
    assert f"no Kafka broker answered at {address}" in str(caught.value)
