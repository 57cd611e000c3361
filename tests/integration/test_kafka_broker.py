"""The test broker keeps its promises: it is real, survives crashes, and dies with its test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services import kafka
from tests.services.groups import join_group
from tests.services.kafka import Broker, KafkaBroker, KafkaError
from tests.services.kafka_installation import install
from tests.services.maven import JavaError
from tests.services.topics import (
    append,
    create_topic,
    delete_topic,
    end_offsets,
    read_all,
    unique_topic_name,
)

pytestmark = pytest.mark.kafka

_ROOT = Path(__file__).parents[2]


def test_records_come_back_as_they_were_appended(broker: Broker, topic: str) -> None:
    """Keys, values and their order within a partition are kept; null is not empty."""
    given = [(b"k", b"one"), (None, b""), (b"", None)]
    append(broker, topic, given, partition=2)
    stored = read_all(broker, topic)
    assert [(record.key, record.value) for record in stored] == given
    assert [(record.partition, record.offset) for record in stored] == [(2, 0), (2, 1), (2, 2)]
    assert end_offsets(broker, topic) == {0: 0, 1: 0, 2: 3, 3: 0}


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_both_group_protocols_work(broker: Broker, topic: str, protocol: str) -> None:
    """A broker whose features came up wrong refuses KIP-848 groups (``consumer``)."""
    assert join_group(broker, topic, protocol=protocol) == [0, 1, 2, 3]


def test_a_topic_can_be_deleted_and_made_again(broker: Broker) -> None:
    """The new topic of the same name starts empty."""
    name = unique_topic_name()
    create_topic(broker, name, 1)
    append(broker, name, [(b"k", b"v")])
    delete_topic(broker, name)
    create_topic(broker, name, 2, retention_ms="60000")
    assert end_offsets(broker, name) == {0: 0, 1: 0}


def test_a_killed_broker_comes_back_with_its_address_and_data(own_broker: KafkaBroker) -> None:
    """What was acknowledged before SIGKILL is there after the restart, at the same address."""
    address, pid, name = own_broker.bootstrap_servers, own_broker.pid, unique_topic_name()
    create_topic(own_broker, name, 1)
    append(own_broker, name, [(b"k", b"before")])
    own_broker.kill()
    assert not _is_running(pid)
    own_broker.restart()
    append(own_broker, name, [(b"k", b"after")])
    assert own_broker.bootstrap_servers == address
    assert [record.value for record in read_all(own_broker, name)] == [b"before", b"after"]


def test_stop_leaves_nothing() -> None:
    """After stop() there is no process and no folder, and a second stop() is harmless."""
    with KafkaBroker.start() as started:
        pid, folder = started.pid, started.log.parent
        assert folder.is_dir()
    assert not _is_running(pid)
    assert not folder.exists()
    started.stop()
    with pytest.raises(KafkaError, match="not running"):
        _ = started.pid


def test_a_broker_that_cannot_start_says_why() -> None:
    """The error holds the broker's own log."""
    with pytest.raises(KafkaError, match=r"Invalid value nonsense for configuration log\.segment"):
        KafkaBroker.start(properties={"log.segment.bytes": "nonsense"})


def test_a_broker_that_does_not_answer_in_time_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the address and the time, and no process is left."""
    monkeypatch.setattr(kafka, "START_TIMEOUT_SECONDS", 0.0)
    with pytest.raises(KafkaError, match=r"127\.0\.0\.1:\d+ did not answer within 0 s"):
        KafkaBroker.start()


def test_the_broker_dies_with_the_process_that_started_it() -> None:
    """Even when that process is killed: no broker and no data stay behind."""
    code = (
        "import time; from tests.services.kafka import KafkaBroker; b = KafkaBroker.start();"
        "print(b.pid, b.log.parent, flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, folder = parent.stdout.readline().split()
        parent.kill()
    assert _soon(lambda: not _is_running(int(pid)))
    assert _soon(lambda: not Path(folder).exists())


def test_by_hand_it_prints_its_address_and_stops_on_ctrl_c() -> None:
    """``python -m tests.services.kafka`` ends with exit code 0."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.services.kafka"], cwd=_ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("SESSIONFOLD_BOOTSTRAP_SERVERS=127.0.0.1:")
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(30) == 0
        finally:
            process.kill()  # else the end of the block would wait for it


def test_a_failed_fetch_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When Maven fails the cache stays empty, and the error holds Maven's words."""
    maven = tmp_path / "bin" / "mvn"
    maven.parent.mkdir()
    maven.write_text("#!/bin/sh\necho no network; exit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{maven.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SESSIONFOLD_TEST_CACHE", str(tmp_path / "cache"))
    with pytest.raises(JavaError, match="mvn failed with exit code 1:\nno network"):
        install()
    assert list((tmp_path / "cache").iterdir()) == []


def _soon(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
