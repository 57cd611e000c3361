"""What only a source of a real broker can show: large records, damage, and a broker that goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sessionfold_consumer.config import Settings
from sessionfold_consumer.errors import RecordCorruptError
from sessionfold_consumer.records import RecordBatch
from sessionfold_consumer.source import Fetched
from sessionfold_consumer.source.kafka import KafkaSource
from tests.conftest import require
from tests.contract.source.logs import OnBroker
from tests.services.kafka import Broker, KafkaBroker, kafka_available
from tests.services.topics import append, create_topic

pytestmark = pytest.mark.kafka

_MEBIBYTE = 1024 * 1024
_PATIENCE_SECONDS = 20.0


@pytest.fixture(scope="module")
def frail_broker() -> Iterator[KafkaBroker]:
    """A broker that tests of this file may end, if they start it again."""
    require(kafka_available())
    with KafkaBroker.start() as started:
        yield started


def test_large_values_are_handed_over_in_batches_of_bounded_size(broker: Broker) -> None:
    """A batch ends long before the record limit when its values are large, and nothing is lost."""
    log = OnBroker(broker)
    for _ in range(4):
        log.append(0, [(b"k", bytes(_MEBIBYTE))] * 40)
    log.append(0, [(b"k", b"small")] * 1000)
    with closing(log.open()) as source:
        source.start({0: 0})
        batches = _fetch_until(source.fetch, 1160)
    assert max(_size(batch) for batch in batches) <= 64 * _MEBIBYTE
    assert [offset for batch in batches for offset in batch.offsets] == list(range(1160))


def test_a_large_record_between_small_ones_is_handed_over(broker: Broker) -> None:
    """The bound on a batch never keeps a single record back, whatever its size."""
    log = OnBroker(broker)
    sizes = [10, _MEBIBYTE, 0, 10, _MEBIBYTE]
    log.append(0, [(b"k", bytes(size)) for size in sizes])
    with closing(log.open()) as source:
        source.start({0: 0})
        batches = _fetch_until(source.fetch, 5)
    assert [len(value or b"") for batch in batches for value in batch.values] == sizes


def test_timestamps_are_the_brokers(broker: Broker) -> None:
    """Milliseconds since the epoch, from the time the records were appended."""
    log = OnBroker(broker)
    before = time.time_ns() // 1_000_000
    log.append(0, [(b"k", b"v")])
    with closing(log.open()) as source:
        source.start({0: 0})
        [batch] = _fetch_until(source.fetch, 1)
    assert before <= batch.timestamps[0] <= time.time_ns() // 1_000_000


def test_before_the_first_fetch_the_start_is_the_known_end(broker: Broker) -> None:
    """What is not known yet is never below the start: a lag is never negative or huge."""
    log = OnBroker(broker)
    log.append(0, [(b"k", b"v")] * 3)
    with closing(log.open()) as source:
        source.start({0: 2})
        assert source.known_ends()[0] in (2, 3)


def test_a_broker_that_is_away_gives_empty_batches(frail_broker: KafkaBroker) -> None:
    """The source waits without an error, and goes on by itself where it was."""
    log = OnBroker(frail_broker)
    log.append(0, [(b"k", b"0"), (b"k", b"1")])
    with closing(log.open()) as source:
        source.start({0: 0})
        assert len(_fetch_until(source.fetch, 2)) > 0
        frail_broker.kill()
        assert [len(source.fetch(10, 0.2).batch) for _ in range(5)] == [0] * 5
        frail_broker.restart()
        log.append(0, [(b"k", b"2")])
        [batch] = _fetch_until(source.fetch, 1)
    assert [*batch.offsets] == [2]


def test_a_source_closes_while_the_broker_is_away(frail_broker: KafkaBroker) -> None:
    """Closing does not wait for a broker that cannot answer."""
    log = OnBroker(frail_broker)
    source = log.open()
    source.start({0: 0})
    source.fetch(1, 0.2)
    frail_broker.kill()
    try:
        started = time.monotonic()
        source.close()
        assert time.monotonic() - started < _PATIENCE_SECONDS
    finally:
        frail_broker.restart()


def test_a_record_with_a_wrong_checksum_is_an_error(frail_broker: KafkaBroker) -> None:
    """A byte that flipped on the broker's disk is never taken for data, nor skipped."""
    topic = "damaged"
    create_topic(frail_broker, topic, 1, compression_type="uncompressed")
    append(frail_broker, topic, [(b"k", b"good")])
    append(frail_broker, topic, [(b"k", b"to be damaged")])
    frail_broker.terminate()
    _damage(frail_broker.log.parent, b"to be damaged")
    frail_broker.restart()
    settings = Settings(bootstrap_servers=frail_broker.bootstrap_servers, topic=topic)
    with closing(KafkaSource(settings, "sessionfold-tests", [0])) as source:
        source.start({0: 0})
        with pytest.raises(RecordCorruptError, match="offset 1 of partition 0 of damaged"):
            _fetch_until(source.fetch, 2)


def _fetch_until(fetch: Callable[[int, float], Fetched], records: int) -> list[RecordBatch]:
    batches: list[RecordBatch] = []
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while sum(map(len, batches)) < records:
        assert time.monotonic() < deadline, f"got {sum(map(len, batches))} of {records} records"
        batches.append(fetch(100_000, 0.2).batch)
    return [batch for batch in batches if len(batch)]


def _size(batch: RecordBatch) -> int:
    return sum(len(value or b"") for value in batch.values)


def _damage(folder: Path, text: bytes) -> None:
    """Flip a bit of a record on the broker's disk."""
    [segment] = folder.rglob("damaged-0/*.log")
    content = bytearray(segment.read_bytes())
    content[content.index(text)] ^= 1
    segment.write_bytes(content)
