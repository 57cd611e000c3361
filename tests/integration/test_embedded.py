"""The embedded broker: a Kafka that needs nothing, for trying out."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from sessionfold_consumer import bootstrap
from sessionfold_consumer.config import Settings
from sessionfold_consumer.embedded import EmbeddedBroker
from sessionfold_consumer.errors import TopicChangedError
from sessionfold_consumer.store import dump, open_store
from tests import oracle
from tests.services.topics import append, end_offsets, read_all
from tests.unit.consumer.conftest import event
from tests.unit.consumer.services import Listener

_TOPIC = "tried-out"
_PARTITIONS = 4
_PATIENCE_SECONDS = 20.0

_WRITER = """
import json, sys
from tests.services.topics import append

class Broker:
    bootstrap_servers = sys.argv[1]

records = [(key.encode(), bytes.fromhex(value)) for key, value in json.load(sys.stdin)]
append(Broker, sys.argv[2], records)
"""
"""A program of its own that writes what it is given to the topic."""


def settings(broker: EmbeddedBroker, folder: Path) -> Settings:
    """Return the settings of a service on this broker."""
    store = f"sqlite:///{folder / 'sessions.db'}"
    return Settings(bootstrap_servers=broker.bootstrap_servers, topic=_TOPIC, store=store)


def bounded_run(given: Settings) -> None:
    """Fold what there is."""
    wiring = bootstrap.Wiring(in_group=False, to_present_end=True, embedded=True)
    with bootstrap.service(given, wiring) as service:
        service.run()


def records(count: int) -> list[tuple[bytes, bytes]]:
    """Return events of ten sessions."""
    made = [event(0, f"session-{n % 10}", n, task=f"task {n}") for n in range(count)]
    return [record for _, record in made]


def test_the_topic_is_there_with_four_partitions() -> None:
    """From the start, at an address on loopback."""
    with EmbeddedBroker(_TOPIC) as broker:
        assert broker.bootstrap_servers.startswith(("127.0.0.1:", "localhost:"))
        assert end_offsets(broker, _TOPIC) == dict.fromkeys(range(_PARTITIONS), 0)


def test_another_process_can_write_to_it(tmp_path: Path) -> None:
    """What it writes is folded as on any broker, up to the ends."""
    written = records(500)
    with EmbeddedBroker(_TOPIC) as broker:
        subprocess.run(
            [sys.executable, "-c", _WRITER, broker.bootstrap_servers, _TOPIC],
            input=json.dumps([(key.decode(), value.hex()) for key, value in written]),
            text=True,
            check=True,
            cwd=Path(__file__).parents[2],
        )
        given = settings(broker, tmp_path)
        bounded_run(given)
        log = read_all(broker, _TOPIC)
    assert sorted((each.key, each.value) for each in log) == sorted(written)
    with closing(open_store(given.store, read_only=True)) as store:
        assert list(store.states()) == oracle.ordered(oracle.fold(log).states)


def test_a_service_without_end_follows_it(tmp_path: Path) -> None:
    """As dev runs it: records that come later are folded until it is told to stop."""
    stopping, caught_up = threading.Event(), threading.Event()
    with EmbeddedBroker(_TOPIC) as broker:
        append(broker, _TOPIC, records(20))
        given = settings(broker, tmp_path)
        wiring = bootstrap.Wiring(in_group=False, embedded=True)

        def follow() -> None:
            watch = Listener(lambda p: caught_up.set() if p.records == 50 else None)
            with bootstrap.service(given, wiring, watch) as service:
                service.run(stopping.is_set)

        thread = threading.Thread(target=follow)
        thread.start()
        try:
            append(broker, _TOPIC, records(30))
            assert caught_up.wait(_PATIENCE_SECONDS)
        finally:
            stopping.set()
            thread.join()


def test_a_store_of_another_embedded_broker_is_refused(tmp_path: Path) -> None:
    """Each broker is a log of its own, although the topics have the same name."""
    with EmbeddedBroker(_TOPIC) as broker:
        append(broker, _TOPIC, records(20))
        bounded_run(settings(broker, tmp_path))
    with EmbeddedBroker(_TOPIC) as broker:
        append(broker, _TOPIC, records(20))
        given = settings(broker, tmp_path)
        with closing(open_store(given.store, read_only=True)) as store:
            before = list(dump(store))
        with pytest.raises(TopicChangedError):
            bounded_run(given)
        with closing(open_store(given.store, read_only=True)) as store:
            assert list(dump(store)) == before


def test_closing_frees_port_and_threads() -> None:
    """A second close does nothing; nobody answers any more."""
    threads = _threads()
    broker = EmbeddedBroker(_TOPIC)
    host, port = broker.bootstrap_servers.split(":")
    socket.create_connection((host, int(port))).close()
    broker.close()
    broker.close()
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while _threads() > threads:
        assert time.monotonic() < deadline, "the broker's threads stay"
        time.sleep(0.05)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))


def test_two_of_them_are_apart() -> None:
    """Each has its own address and its own records."""
    with EmbeddedBroker(_TOPIC) as one, EmbeddedBroker(_TOPIC) as other:
        append(one, _TOPIC, records(5))
        assert sum(end_offsets(one, _TOPIC).values()) == 5
        assert sum(end_offsets(other, _TOPIC).values()) == 0


def _threads() -> int:
    """Return the number of this process's threads, the client's own included; 0 if unknown."""
    folder = Path("/proc/self/task")
    return len(list(folder.iterdir())) if folder.exists() else 0
