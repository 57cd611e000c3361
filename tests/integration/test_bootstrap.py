"""A service as it is put together over a real broker: what it accepts, and what it refuses."""

from __future__ import annotations

import logging
from contextlib import closing
from pathlib import Path

import pytest

from sessionfold_consumer import bootstrap
from sessionfold_consumer.config import Settings
from sessionfold_consumer.errors import (
    ConsumerError,
    LogTruncatedError,
    TopicChangedError,
    TopicMissingError,
    TopicUnsuitableError,
)
from sessionfold_consumer.observer import Progress
from sessionfold_consumer.store import Advance, SessionStore, dump, open_store
from tests import oracle
from tests.services.kafka import Broker
from tests.services.topics import (
    StoredRecord,
    add_partitions,
    append,
    append_transaction,
    create_topic,
    delete_records,
    delete_topic,
    end_offsets,
    read_all,
    unique_topic_name,
)
from tests.unit.consumer.conftest import event

pytestmark = pytest.mark.kafka

_BOUNDED = bootstrap.Wiring(in_group=False, to_present_end=True)

Records = list[tuple[bytes | None, bytes | None]]


@pytest.fixture
def settings(broker: Broker, topic: str, tmp_path: Path) -> Settings:
    """Settings of a service over a fresh topic and a new store."""
    return Settings(
        bootstrap_servers=broker.bootstrap_servers,
        topic=topic,
        store=f"sqlite:///{tmp_path / 'sessions.db'}",
    )


def records(count: int, first: int = 0) -> Records:
    """Return events of three sessions, and one record in ten that is none."""
    made: Records = []
    for number in range(first, first + count):
        _, record = event(0, f"session-{number % 3}", number, task=f"task {number}")
        made.append(record if number % 10 else (record[0], None))
    return made


def run(settings: Settings, wiring: bootstrap.Wiring = _BOUNDED) -> Progress:
    """Run a service to its end."""
    with bootstrap.service(settings, wiring) as service:
        return service.run()


def read(settings: Settings) -> SessionStore:
    """Open the store for reading."""
    return open_store(settings.store, read_only=True)


def assert_is_fold_of(settings: Settings, log: list[StoredRecord]) -> None:
    """Hold the store to the plain fold of these records."""
    expected = oracle.fold(log)
    with closing(read(settings)) as store:
        assert list(store.states()) == oracle.ordered(expected.states)
        letters = {(each.partition, each.offset): each.reason for each in store.dead_letters()}
    assert letters == expected.refused


def refused(settings: Settings, error: type[ConsumerError]) -> str:
    """Expect both ways of running to be refused before anything is folded; return the words."""
    words = set()
    for wiring in (_BOUNDED, bootstrap.Wiring(in_group=True)):
        with pytest.raises(error) as caught:
            run(settings, wiring)
        words.add(str(caught.value))
    [sentence] = words
    return sentence


def test_a_run_folds_what_there_is_and_the_next_one_goes_on(
    broker: Broker, settings: Settings
) -> None:
    """Up to the ends of the start; a run without new records folds none."""
    append(broker, settings.topic, records(40))
    assert run(settings).records == 40
    assert run(settings).records == 0
    append(broker, settings.topic, records(20, 40))
    progress = run(settings)
    assert (progress.records, progress.lag) == (20, 0)
    assert progress.next_offsets == end_offsets(broker, settings.topic)
    assert_is_fold_of(settings, read_all(broker, settings.topic))


def test_records_that_come_after_the_start_are_left(broker: Broker, settings: Settings) -> None:
    """The end is that of the start, whatever is written while the service runs."""
    append(broker, settings.topic, records(30))
    before = read_all(broker, settings.topic)
    with bootstrap.service(settings, _BOUNDED) as service:
        append(broker, settings.topic, records(30, 30))
        assert service.run().records == 30
    assert_is_fold_of(settings, before)


def test_the_same_topic_gives_the_same_dump(
    broker: Broker, settings: Settings, tmp_path: Path
) -> None:
    """Byte for byte, in batches of any size."""
    append(broker, settings.topic, records(100))
    dumps = set()
    for size in (1, 7, 1000):
        store = f"sqlite:///{tmp_path / f'{size}.db'}"
        each = settings.model_copy(update={"store": store, "batch_records": size})
        run(each)
        with closing(read(each)) as opened:
            dumps.add("\n".join(dump(opened)))
    assert len(dumps) == 1


def test_a_run_ends_behind_transactions(broker: Broker, settings: Settings) -> None:
    """Marks are no records, and what was aborted never happened."""
    append_transaction(broker, settings.topic, records(5), partition=0)
    append_transaction(broker, settings.topic, records(5, 5), partition=0, commit=False)
    progress = run(settings)
    assert progress.records == 5
    assert progress.next_offsets == end_offsets(broker, settings.topic)
    assert_is_fold_of(settings, read_all(broker, settings.topic))


def test_a_missing_topic_is_refused(settings: Settings) -> None:
    """With the command that makes it; and it is not made by asking."""
    missing = settings.model_copy(update={"topic": unique_topic_name()})
    assert f"sessionfold topic create --topic {missing.topic}" in refused(
        missing, TopicMissingError
    )


def test_a_compacted_topic_is_refused(broker: Broker, settings: Settings) -> None:
    """It keeps the last event of a session only; nothing is folded from it."""
    name = unique_topic_name()
    create_topic(broker, name, cleanup_policy="compact")
    words = refused(settings.model_copy(update={"topic": name}), TopicUnsuitableError)
    assert "cleanup.policy=compact, it must be delete" in words
    with closing(read(settings)) as store:
        assert store.info().identity is None


def test_a_topic_that_was_created_again_is_refused(broker: Broker, settings: Settings) -> None:
    """Also when it has more records than the position: they are others."""
    append(broker, settings.topic, records(10))
    run(settings)
    with closing(read(settings)) as store:
        before = list(dump(store))
    delete_topic(broker, settings.topic)
    create_topic(broker, settings.topic)
    append(broker, settings.topic, records(50))
    assert "deleted and created again" in refused(settings, TopicChangedError)
    with closing(read(settings)) as store:
        assert list(dump(store)) == before


def test_another_number_of_partitions_is_refused(broker: Broker, settings: Settings) -> None:
    """With it sessions have moved between partitions."""
    run(settings)
    add_partitions(broker, settings.topic, 6)
    words = refused(settings, TopicChangedError)
    assert "has 6 partitions, the store was built from 4" in words


def test_another_topic_is_refused(broker: Broker, settings: Settings) -> None:
    """A store is the fold of one."""
    run(settings)
    name = unique_topic_name()
    create_topic(broker, name)
    words = refused(settings.model_copy(update={"topic": name}), TopicChangedError)
    assert f"was built from the topic {settings.topic}, not {name}" in words


def test_records_that_were_deleted_before_they_were_folded_are_missed(
    broker: Broker, settings: Settings
) -> None:
    """The service does not go on behind the gap."""
    append(broker, settings.topic, records(10), partition=2)
    run(settings)
    append(broker, settings.topic, records(10, 10), partition=2)
    delete_records(broker, settings.topic, 2, before=11)
    words = refused(settings, LogTruncatedError)
    assert f"partition 2 of {settings.topic} cannot be continued: offsets 10 to 10 were" in words


def test_records_that_were_deleted_after_they_were_folded_are_not(
    broker: Broker, settings: Settings
) -> None:
    """Retention may take what the store has."""
    append(broker, settings.topic, records(10), partition=2)
    before = read_all(broker, settings.topic)
    run(settings)
    append(broker, settings.topic, records(10, 10), partition=2)
    delete_records(broker, settings.topic, 2, before=10)
    assert run(settings).records == 10
    assert_is_fold_of(settings, [*before, *read_all(broker, settings.topic)])


def test_a_log_that_ends_before_the_position_is_missed(broker: Broker, settings: Settings) -> None:
    """As after an election of a replica that was behind."""
    append(broker, settings.topic, records(10), partition=1)
    run(settings)
    with closing(open_store(settings.store)) as store:
        [held] = store.claim([1], "test").values()
        store.commit([Advance(position=held, next_offset=12)], [], [])
    words = refused(settings, LogTruncatedError)
    assert "the log ends at 10, before the store's position 12" in words


def test_a_new_store_of_a_shortened_log_says_what_is_missing(
    broker: Broker, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    """It folds what there is, once with a warning."""
    append(broker, settings.topic, records(10), partition=3)
    delete_records(broker, settings.topic, 3, before=4)
    with caplog.at_level(logging.WARNING):
        assert run(settings).records == 6
        assert run(settings).records == 0
    warnings = [line for line in caplog.messages if "no longer has its first records" in line]
    assert len(warnings) == 1
    assert "offset 4 of partition 3" in warnings[0]
    assert_is_fold_of(settings, read_all(broker, settings.topic))


def test_two_stores_never_share_a_group(settings: Settings, tmp_path: Path) -> None:
    """Each would be the fold of half of the topic; one store keeps its group."""
    names = []
    for file in ("a.db", "b.db", "a.db"):
        with closing(open_store(f"sqlite:///{tmp_path / file}")) as store:
            names.append(store.info().group_id)
    assert names[0] == names[2] != names[1]
    assert all(name.startswith("sessionfold-") for name in names)


def test_the_ends_are_the_brokers(broker: Broker, settings: Settings) -> None:
    """For whoever waits until all is folded."""
    append(broker, settings.topic, records(12))
    assert bootstrap.end_offsets(settings) == end_offsets(broker, settings.topic)
