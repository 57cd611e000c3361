"""The edge to the Kafka client, as far as it shows without a broker."""

from __future__ import annotations

import logging
import subprocess
import sys
import time

import pytest
from confluent_kafka import KafkaException

from sessionfold._config import load
from sessionfold._publisher import KafkaPublisher, NotTakenError, RateLimit
from sessionfold.testing import MemoryPublisher, MemoryRecord

NOWHERE = "127.0.0.1:1"


FORKED_WITH_GARBAGE = f"""
import gc, os, sys
from confluent_kafka import Producer
import sessionfold as lai

def clients():
    return {{id(each) for each in gc.get_objects() if isinstance(each, Producer)}}

gc.disable()
for _ in range(2):  # the second time makes the first client garbage, in a cycle
    lai.configure(bootstrap_servers="{NOWHERE}", spool_dir=None, delivery_timeout_seconds=1)
    lai.init(session_name="test")
    lai.shutdown(timeout_seconds=0)
before = clients()
child = os.fork()
if child == 0:
    if "CONFIGURE" in sys.argv:
        lai.configure(bootstrap_servers="{NOWHERE}")
    gc.collect()
    os._exit(len(before & clients()))
assert (len(before), os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])) == (2, 2)
"""

FORKED_AND_ENDED = """
import os, sys
from sessionfold import _inherited

class Client:
    def __del__(self, write=os.write, process=os.getpid):
        write(1, b"%d " % process())

clients = [Client(), Client()]
for client in clients:
    _inherited.know(client)
if "GIVEN UP" in sys.argv:
    clients[0].itself = clients[0]
    del clients[0], client
parent, child = os.getpid(), os.fork()
if child == 0:
    _inherited.keep()
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
sys.stderr.write("%d " % parent * 2)
"""
"""Each client says in which process it is freed; on standard error is what is right."""


def dead_publisher(**kafka: int) -> KafkaPublisher:
    """Return a publisher whose broker is not there."""
    return KafkaPublisher(load({}, bootstrap_servers=NOWHERE, kafka=kafka))


def test_events_that_wait_at_the_close_are_reported_as_failed() -> None:
    """Each exactly once."""
    publisher = dead_publisher()
    failed: list[tuple[str, bytes | None]] = []
    for number in range(10):
        publisher.publish(
            b"k", b"%d" % number, lambda error, record: failed.append((str(error), record.value()))
        )
    publisher.close()
    assert [value for _, value in failed] == [b"%d" % number for number in range(10)]
    assert all("Purged" in error for error, _ in failed)


@pytest.mark.parametrize("arguments", [[], ["CONFIGURE"]], ids=["", "configured anew"])
def test_a_forked_child_frees_no_client_of_its_parent(arguments: list[str]) -> None:
    """Closed or not, garbage or not: it would wait for a lock that no thread gives back."""
    program = [sys.executable, "-c", FORKED_WITH_GARBAGE, *arguments]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("arguments", [[], ["GIVEN UP"]], ids=["in use", "given up"])
def test_a_forked_child_that_ends_as_programs_do_frees_none_either(arguments: list[str]) -> None:
    """Neither while it runs nor when its interpreter takes the modules down; the parent does."""
    program = [sys.executable, "-c", FORKED_AND_ENDED, *arguments]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (0, ended.stderr)


def test_a_full_queue_takes_no_event() -> None:
    """The client's own limit, by count or by bytes."""
    publisher = dead_publisher(**{"queue.buffering.max.messages": 2})
    try:
        for _ in range(2):
            publisher.publish(b"k", b"v", lambda *_: None)
        with pytest.raises(NotTakenError, match=r"^the queue is full$"):
            publisher.publish(b"k", b"v", lambda *_: None)
    finally:
        publisher.close()


def test_an_event_that_the_client_finds_too_large_is_not_taken() -> None:
    """The client's error stops here, with its sentence and as the cause."""
    publisher = dead_publisher(**{"message.max.bytes": 1000})
    try:
        with pytest.raises(NotTakenError, match="too large") as caught:
            publisher.publish(b"k", b"v" * 2000, lambda *_: None)
        assert isinstance(caught.value.__cause__, KafkaException)
    finally:
        publisher.close()


def test_the_in_memory_publisher_can_be_full() -> None:
    """It takes as many as it was told, and reports each delivered when it is polled."""
    reports: list[object] = []
    publisher = MemoryPublisher(capacity=1)
    publisher.publish(b"k", b"v", lambda *report: reports.append(report))
    with pytest.raises(NotTakenError, match=r"^the queue is full$"):
        publisher.publish(b"k", b"v", lambda *_: None)
    publisher.poll(0)
    publisher.close()
    assert len(publisher.records) == len(reports) == 1
    assert isinstance(publisher.records[0], MemoryRecord)


def test_log_lines_are_limited_and_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that is down gives twenty lines a second."""
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    limit = RateLimit(lines=2, period_seconds=60)

    def passed(text: str) -> str | None:
        record = logging.LogRecord("n", logging.INFO, "p", 1, "%s", (text,), None)
        return record.getMessage() if limit.filter(record) else None

    assert [passed(text) for text in "abcde"] == ["a", "b", None, None, None]
    now += 61
    assert passed("f") == "f (3 similar lines were held back)"
    assert passed("g") == "g"
    assert passed("h") is None
