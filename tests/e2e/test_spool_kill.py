"""kill -9 at random moments over a shared spool: no old value ever comes back, none is damaged."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.e2e.outage.log import events
from tests.e2e.outage.owners import (
    Numbers,
    Owners,
    numbers_in,
    wait_until_empty,
    waiting_numbers,
)
from tests.e2e.outage.remote import Remote
from tests.services.kafka import KafkaBroker, kafka_available
from tests.services.kafka_configuration import free_ports
from tests.services.proxy import Proxy
from tests.services.topics import create_topic, read_all

pytestmark = pytest.mark.kafka

OWNERS = 3
SESSIONS_EACH = 4
LONGEST_LIFE_SECONDS = 2.5

HURRY = {
    "linger_milliseconds": 1,
    "kafka_reconnect_backoff_ms": 20,
    "kafka_reconnect_backoff_max_ms": 100,
}


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    """What stands between the test's broker and all its clients."""
    require(kafka_available())
    [port] = free_ports(1)
    advertised = {"advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}"}
    with Proxy(port) as standing, KafkaBroker.start(properties=advertised) as broker:
        standing.target = broker.bootstrap_servers
        yield standing


@pytest.mark.parametrize(
    ("kills", "seed"),
    [(20, 1), *(pytest.param(50, seed, marks=pytest.mark.soak) for seed in (2, 3, 4, 5))],
)
def test_owners_of_sessions_are_killed(proxy: Proxy, tmp_path: Path, kills: int, seed: int) -> None:
    """While the broker comes and goes, and processes write, send and wait for each other's spools.

    Whenever all are dead, the newest value of each field is the last in the log, or on its way
    behind it; in the end it is the last in the log. What was once seen delivered or on disk is not
    lost.
    """
    create_topic(proxy, "t", partitions=2)
    chance = random.Random(seed)
    settings = {"bootstrap_servers": proxy.bootstrap_servers, "topic": "t", **HURRY}
    names = [f"s{number}" for number in range(OWNERS * SESSIONS_EACH)]
    parts = [names[place::OWNERS] for place in range(OWNERS)]
    waited = 0
    with Owners(parts, tmp_path, chance, **settings) as owners:
        while owners.kills < kills:
            disturb(proxy, chance)
            owners.kill(OWNERS if chance.random() < 0.25 else 1)
            if not owners.alive:
                proxy.heal()
                waiting = waiting_numbers(owners.spool)
                waited += bool(waiting)
                check_nothing_waits_to_overtake(numbers_in(events(read_all(proxy, "t"))), waiting)
            owners.start()
    proxy.heal()
    with Remote(spool_directory=owners.spool, **settings) as last:
        last("lai.init(session_id='last', auto_end=False)")
        wait_until_empty(owners.spool, 60)
    log = numbers_in(events(read_all(proxy, "t")))
    check_newest_is_last(log)
    called = owners.called()
    assert {key for key in log if set(log[key]) - set(called[key])} == set()
    least = owners.safe()
    assert least
    assert {key for key in least if max(log.get(key, [-1])) < least[key]} == set()
    assert waited
    assert list(owners.spool.glob("*.spool")) == []


def disturb(proxy: Proxy, chance: random.Random) -> None:
    """Let some time pass; the broker may go or come in it."""
    for _ in range(chance.randint(1, 3)):
        time.sleep(chance.uniform(0, LONGEST_LIFE_SECONDS / 2))
        chance.choice([proxy.cut, proxy.heal, proxy.heal])()


def check_nothing_waits_to_overtake(log: Numbers, waiting: Numbers) -> None:
    """See that no old value lies on the disk whose successor is in the log already."""
    for key, numbers in waiting.items():
        assert max(numbers) >= max(log.get(key, [-1])), key


def check_newest_is_last(log: Numbers) -> None:
    """See that each field has come to the greatest number that it was ever given in the log."""
    assert {key: numbers[-1] for key, numbers in log.items()} == {
        key: max(numbers) for key, numbers in log.items()
    }
