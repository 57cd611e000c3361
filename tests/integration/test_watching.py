"""A running service as a supervisor and Prometheus see it, on a broker that freezes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeVar

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.services.kafka import Broker, KafkaBroker
from tests.services.kafka_configuration import free_ports
from tests.services.topics import append, create_topic, end_offsets
from tests.unit.consumer.conftest import event

pytestmark = pytest.mark.kafka

_PATIENCE_SECONDS = 90.0
_SESSIONFOLD = str(Path(sys.executable).with_name("sessionfold"))
_RECORDS = 400
_PARTITIONS = range(4)

_HOLDER = """
import sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None)
store.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""
"""A program that writes to a store for as long as its input is open."""

T = TypeVar("T")


class Running:
    """A service's process, asked over HTTP."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self._port = port

    def get(self, path: str) -> tuple[int, str]:
        """Return status and body; 0 when nothing answers."""
        connection = HTTPConnection("127.0.0.1", self._port, timeout=_PATIENCE_SECONDS)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except ConnectionRefusedError:
            return 0, "nothing answers"
        finally:
            connection.close()

    def samples(self) -> dict[str, float]:
        """Return what Prometheus reads; labels behind the name."""
        _, text = self.get("/metrics")
        return {
            sample.name + "".join(f"/{value}" for value in sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def wait(self, path: str, status: int, why: str = "") -> str:
        """Wait until a path is answered so, and return what else it says."""
        return self._wait(lambda: self.get(path), lambda got: got[0] == status and why in got[1])[1]

    def wait_until_stored(self, records: int) -> dict[str, float]:
        """Wait until so many records are stored, and return all samples then."""
        name = "sessionfold_records_total"
        return self._wait(self.samples, lambda found: found[name] == records)

    def _wait(self, look: Callable[[], T], is_good: Callable[[T], bool]) -> T:
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not is_good(found := look()):
            assert self.process.poll() is None, "the service ended"
            assert time.monotonic() < deadline, f"it stayed at {found}"
            time.sleep(0.1)
        return found


@contextmanager
def running(broker: Broker, topic: str, folder: Path, *options: str) -> Iterator[Running]:
    """Run a service that is watched, and end it by SIGTERM, with 0."""
    (port,) = free_ports(1)
    log = folder / "service.log"
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [
                *(_SESSIONFOLD, "--log-format", "json", "run"),
                *("--bootstrap-servers", broker.bootstrap_servers, "--topic", topic),
                *("--store", f"sqlite:///{folder / 'sessions.db'}"),
                *("--metrics-address", str(port), *options),
            ],
            env={key: value for key, value in os.environ.items() if "SESSIONFOLD" not in key},
            stderr=stderr,
            text=True,
        )
    try:
        yield Running(process, port)
        process.terminate()
        assert process.wait(_PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
    messages = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    assert f"health and metrics: http://127.0.0.1:{port}" in messages


@contextmanager
def held(store: Path) -> Iterator[None]:
    """Let another program write to a store until the block ends."""
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        yield
        holder.communicate()


def fill(broker: Broker, topic: str) -> None:
    """Append events to all partitions, in equal parts."""
    for partition in _PARTITIONS:
        numbers = range(partition, _RECORDS, len(_PARTITIONS))
        events = [event(0, f"session-{number}", number, task="x")[1] for number in numbers]
        append(broker, topic, events, partition=partition)


def assert_caught_up(samples: dict[str, float], broker: Broker, topic: str) -> None:
    """Hold positions, ends and lag to what the broker says."""
    ends = end_offsets(broker, topic)
    for partition, end in ends.items():
        for name in ("next_offset", "end_offset"):
            assert samples[f"sessionfold_partition_{name}/{partition}"] == end
        assert samples[f"sessionfold_partition_lag_records/{partition}"] == 0
    assert samples["sessionfold_lag_records"] == samples["sessionfold_lag_seconds"] == 0
    assert samples["sessionfold_partitions"] == len(ends)


def test_it_is_ready_while_the_broker_answers(own_broker: KafkaBroker, tmp_path: Path) -> None:
    """Not ready while the broker is frozen, though the loop lives; ready again by itself."""
    create_topic(own_broker, "t", len(_PARTITIONS))
    fill(own_broker, "t")
    append(own_broker, "t", [(b"key", b"no event")] * 3, partition=0)
    with running(own_broker, "t", tmp_path, "--ready-max-lag", "0") as service:
        service.wait("/readyz", 200)
        samples = service.wait_until_stored(_RECORDS + 3)
        assert_caught_up(samples, own_broker, "t")
        assert samples["sessionfold_dead_letters_total/not_single_object"] == 3
        assert samples["sessionfold_rebalanced_partitions_total/assigned"] == 4
        assert samples["sessionfold_end_to_end_latency_seconds_count"] >= 1
        assert samples["sessionfold_ready"] == 1
        os.kill(own_broker.pid, signal.SIGSTOP)
        try:
            service.wait("/readyz", 503, "the broker has not said for ")
            assert service.get("/livez") == (200, "live\n")
            assert service.samples()["sessionfold_ready"] == 0
        finally:
            os.kill(own_broker.pid, signal.SIGCONT)
        service.wait("/readyz", 200)
        fill(own_broker, "t")
        samples = service.wait_until_stored(2 * _RECORDS + 3)
        assert_caught_up(samples, own_broker, "t")


def test_the_lag_is_what_the_store_lacks(broker: Broker, topic: str, tmp_path: Path) -> None:
    """In records and in seconds, while the store takes nothing; it is not ready and says why."""
    fill(broker, topic)
    with running(broker, topic, tmp_path) as service:
        service.wait("/readyz", 200)
        service.wait_until_stored(_RECORDS)
        with held(tmp_path / "sessions.db"):
            began = time.time()
            fill(broker, topic)
            service.wait("/readyz", 503, "the service has been waiting for the store for ")
            samples = service.samples()
            assert samples["sessionfold_lag_records"] == _RECORDS
            assert samples["sessionfold_partition_lag_records/3"] == _RECORDS / len(_PARTITIONS)
            assert 0 < samples["sessionfold_lag_seconds"] < time.time() - began + 60
            assert samples["sessionfold_waits_total/store"] >= 1
            assert samples["sessionfold_waiting"] == 1
        service.wait("/readyz", 200)
        assert_caught_up(service.wait_until_stored(2 * _RECORDS), broker, topic)
