"""The broker away under load: every session comes to the right state, every update is accounted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.e2e.outage.fleet import Fleet, Reading
from tests.e2e.outage.log import (
    backward,
    differences,
    events,
    folded,
    repeated,
    spooled_calls,
)
from tests.services.kafka import KafkaBroker
from tests.services.topics import create_topic, read_all

pytestmark = pytest.mark.kafka

NAMES = ("one", "two", "three", "four")
RATE = 5_000
"""Updates a second, by all workers together."""

QUEUE_EVENTS = 2_000
"""So that a worker's queue is full after little more than a second."""

Outage = Callable[[KafkaBroker], AbstractContextManager[None]]


@contextmanager
def killed(broker: KafkaBroker) -> Iterator[None]:
    """The broker is gone, and back at the end of the block."""
    broker.kill()
    yield
    broker.restart()


@contextmanager
def frozen(broker: KafkaBroker) -> Iterator[None]:
    """The broker takes connections and bytes, and does nothing, until the end of the block."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


@pytest.mark.parametrize("outage", [killed, frozen])
@pytest.mark.parametrize("seconds", [10, pytest.param(60, marks=pytest.mark.soak)])
def test_everything_is_delivered_once_and_in_order(
    own_broker: KafkaBroker, tmp_path: Path, outage: Outage, seconds: int
) -> None:
    """Nothing is dropped within the bound of queue and spool, nothing sent twice, no order lost."""
    with fleet(own_broker, tmp_path) as workers:
        check_books(workers, outage_of(workers, own_broker, outage, seconds))
        results = workers.end()
        check_books(workers, [each["stats"] for each in results.values()])
    log = read_all(own_broker, "t")
    found = events(log)
    assert repeated(found) == set()
    assert backward(found) == []
    assert sum(event["lost_before"] for event in found) == 0
    for each in results.values():
        assert each["flushed"]
        assert each["stats"]["delivered"] == each["stats"]["accepted"] == each["calls"]
    earlier = len(NAMES) * 30
    calls = sum(each["calls"] - each["stats"]["coalesced"] for each in results.values())
    assert len(found) == calls + earlier
    model = {key: given for each in results.values() for key, given in each["model"].items()}
    assert differences(folded(log), model) == {}
    assert list(workers.spool.glob("*.spool*")) == []


@pytest.mark.parametrize("outage", [killed, frozen])
@pytest.mark.parametrize("seconds", [6, pytest.param(60, marks=pytest.mark.soak)])
def test_the_state_is_right_when_nobody_knows_what_arrived(
    own_broker: KafkaBroker, tmp_path: Path, outage: Outage, seconds: int
) -> None:
    """Deliveries fail in the outage, with results that are not known: no old value comes back.

    What is sent again comes behind later events, whether or not it had arrived before; so the order
    of numbers says nothing here, and the fold everything.
    """
    with fleet(own_broker, tmp_path, delivery_timeout_seconds=1) as workers:
        held = outage_of(workers, own_broker, outage, seconds)
        assert sum(reading["in_flight"] for reading in held) == 0, "no delivery has failed"
        check_books(workers, held, may_drop=True)
        results = workers.end()
        check_books(workers, [each["stats"] for each in results.values()], may_drop=True)
    log = read_all(own_broker, "t")
    model = {key: given for each in results.values() for key, given in each["model"].items()}
    assert differences(folded(log), model) == {}
    assert list(workers.spool.glob("*.spool*")) == []


def outage_of(workers: Fleet, broker: KafkaBroker, outage: Outage, seconds: int) -> list[Reading]:
    """Let the broker be away under load; return the readings of its last moment."""
    time.sleep(2)
    with outage(broker):
        time.sleep(seconds)
        held = held_with_what_is_on_disk(workers)
        workers.tell("go")
        time.sleep(1)
    time.sleep(3)
    return held


def held_with_what_is_on_disk(workers: Fleet) -> list[Reading]:
    """Hold the calls; return the readings, which come to say what the files hold."""
    deadline = time.monotonic() + 60
    while True:
        held = workers.hold()
        spooled = sum(reading["spooled"] for reading in held)
        if 0 < spooled == spooled_calls(workers.spool):
            return held
        # A file is synced between what is written and what is booked, which may take its time.
        assert time.monotonic() < deadline, (held, spooled_calls(workers.spool))


def fleet(broker: KafkaBroker, folder: Path, **settings: object) -> Fleet:
    """Four workers, running, on a topic of their own; some sessions were begun before them."""
    create_topic(broker, "t")
    workers = Fleet(
        NAMES,
        folder,
        bootstrap_servers=broker.bootstrap_servers,
        topic="t",
        queue_events=QUEUE_EVENTS,
        **settings,
    )
    workers.begin_earlier()
    workers.start(RATE)
    return workers


def check_books(workers: Fleet, further: list[Reading], *, may_drop: bool = False) -> None:
    """Hold the accounts to their promise at each second: all calls, each in one place."""
    for reading in [*workers.all_readings(), *further]:
        parts = [reading[each] for each in ("delivered", "spooled", "dropped", "in_flight")]
        assert sum(parts) == reading["accepted"] == reading.get("calls", reading["accepted"])
        assert min(parts) >= 0
        assert may_drop or reading["dropped"] == 0
