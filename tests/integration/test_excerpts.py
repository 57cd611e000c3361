"""The state as it was, from a real log: at offsets and times, it is the plain fold of that prefix.

The soak looks at 100 random offsets: ``pytest -m soak`` with this file.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.workload import Workload
from sessionfold_consumer import bootstrap
from sessionfold_consumer.config import Settings
from sessionfold_consumer.rebuild import Until
from sessionfold_consumer.store import MemoryStore, open_store
from tests import oracle
from tests.services.kafka import Broker
from tests.services.topics import StoredRecord, append, read_all

pytestmark = pytest.mark.kafka

_SEED = 7
_GARBAGE = [(b"a", b"no event"), (None, None), (b"", b"\xc3\x01")]


@pytest.fixture
def settings(broker: Broker, topic: str, tmp_path: Path) -> Settings:
    """Settings of a store that is the fold of 3,000 events, and some garbage among them."""
    records = [*Workload(events=3_000, sessions=300, live=40).records()]
    for begun in range(0, 3_000, 500):
        append(broker, topic, [*records[begun : begun + 500], *_GARBAGE])
    settings = Settings(
        bootstrap_servers=broker.bootstrap_servers,
        topic=topic,
        store=f"sqlite:///{tmp_path / 'sessions.db'}",
    )
    with bootstrap.service(settings, bootstrap.Wiring(in_group=False, to_present_end=True)) as it:
        it.run()
    return settings


@pytest.mark.parametrize(
    "times", [pytest.param(4, id="some"), pytest.param(100, marks=pytest.mark.soak, id="many")]
)
def test_at_random_offsets(broker: Broker, settings: Settings, times: int) -> None:
    """Of all partitions, each cut anywhere."""
    log = read_all(broker, settings.topic)
    with closing(open_store(settings.store, read_only=True)) as live:
        ends = {p: each.next_offset for p, each in live.positions().items()}
    chance = random.Random(_SEED)
    for _ in range(times):
        offsets = {partition: chance.randint(0, end) for partition, end in ends.items()}
        _check(
            settings, Until(offsets=offsets), [r for r in log if r.offset < offsets[r.partition]]
        )


def test_at_a_time(broker: Broker, settings: Settings) -> None:
    """Of some record; those of the same millisecond are not in it."""
    log = read_all(broker, settings.topic)
    moment = sorted(each.timestamp_ms for each in log)[len(log) // 2]
    _check(settings, Until(timestamp=moment), [r for r in log if r.timestamp_ms < moment])


def _check(settings: Settings, until: Until, prefix: list[StoredRecord]) -> None:
    store = MemoryStore()
    assert bootstrap.fold(settings, bootstrap.excerpt(settings, until), store)
    expected = oracle.fold(prefix)
    assert [*store.states()] == oracle.ordered(expected.states)
    assert {*_places(store)} == {*expected.refused}


def _places(store: MemoryStore) -> Iterator[tuple[int, int]]:
    for letter in store.dead_letters():
        yield letter.partition, letter.offset
