"""The SDK on a real broker: what calls say is in the log, in order; a dead broker is no trouble."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sessionfold as lai
from sessionfold_schemas import decode
from tests.services.kafka import Broker, KafkaBroker
from tests.services.topics import StoredRecord, create_topic, read_all

pytestmark = pytest.mark.kafka

NOWHERE = "127.0.0.1:1"

Event = dict[str, Any]


@pytest.fixture(autouse=True)
def fresh_client() -> Iterator[None]:
    """Each test configures a client of its own."""
    lai.clear_state()
    yield
    lai.clear_state()


def events_in(broker: Broker, topic: str) -> list[Event]:
    """Return every event of a topic, by partition, then offset, with the fields that were given."""
    return [event_of(record) for record in read_all(broker, topic)]


def event_of(record: StoredRecord) -> Event:
    """Decode a record by the strict reference."""
    _, event = decode(record.value, key=record.key)
    return {name: value for name, value in event.items() if value is not None}


def by_session(events: list[Event]) -> dict[str, list[Event]]:
    """Group events by session, in log order."""
    found: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        found[event["session_id"]].append(event)
    return found


def run_worker(program: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a worker in a process of its own, with the settings in its environment."""
    settings = {f"SESSIONFOLD_{name.upper()}": value for name, value in environment.items()}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", f"import sessionfold as lai\n{program}"],
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_events_of_many_threads_are_in_the_log_in_the_order_of_calls(
    broker: Broker, topic: str
) -> None:
    """Per session: complete, ordered, on one partition; every record is a valid event."""
    lai.configure(bootstrap_servers=broker.bootstrap_servers, topic=topic)

    def work(number: int) -> None:
        with lai.session(session_id=f"s{number}", session_name="Worker"):
            for step in range(200):
                lai.update_session(task=f"step {step}", session_eval=step)

    threads = [threading.Thread(target=work, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lai.flush(30)
    assert lai.stats() == lai.Stats(accepted=1_616, delivered=1_616)
    sessions = by_session(events_in(broker, topic))
    assert sorted(sessions) == [f"s{number}" for number in range(8)]
    for events in sessions.values():
        assert [event.get("task") for event in events[1:-1]] == [f"step {n}" for n in range(200)]
        assert [event.get("is_finished") for event in (events[0], events[-1])] == [False, True]
        assert [event["sequence"] for event in events] == sorted(e["sequence"] for e in events)
    sequences = [event["sequence"] for events in sessions.values() for event in events]
    assert sorted(sequences) == list(range(1_616))


def test_a_session_is_on_the_partition_that_javas_clients_choose(
    broker: Broker, topic: str
) -> None:
    """So workers in any language that go on with a session keep its order."""
    lai.configure(bootstrap_servers=broker.bootstrap_servers, topic=topic)
    names = [f"session {number} é" for number in range(40)]
    for name in names:
        lai.update_session(task="t", session_id=name)
    assert lai.flush(30)
    found = {record.key: record.partition for record in read_all(broker, topic)}
    assert found == {name.encode(): javas_partition(name.encode(), 4) for name in names}


def test_a_process_that_ends_normally_delivers_what_waits(broker: Broker, topic: str) -> None:
    """Without a flush, with an open session, and with a linger that is longer than its life."""
    worker = run_worker(
        "lai.init(session_id='a')\nfor step in range(500): lai.update_session(session_eval=step)",
        bootstrap_servers=broker.bootstrap_servers,
        topic=topic,
        linger_milliseconds="2000",
    )
    assert (worker.returncode, worker.stdout, worker.stderr) == (0, "", "")
    events = events_in(broker, topic)
    assert [event.get("session_eval") for event in events] == [None, *range(500), None]
    assert events[-1]["is_finished"] is True
    assert "is_successful" not in events[-1]


def test_a_crash_delivers_and_reports_no_success(broker: Broker, topic: str) -> None:
    """The traceback and the exit code are the worker's own."""
    worker = run_worker(
        "lai.init(session_id='a'); lai.update_session(task='t'); 1 / 0",
        bootstrap_servers=broker.bootstrap_servers,
        topic=topic,
    )
    assert worker.returncode == 1
    assert worker.stderr.endswith("ZeroDivisionError: division by zero\n")
    events = events_in(broker, topic)
    assert [event.get("is_finished") for event in events] == [False, None, True]
    assert "is_successful" not in events[-1]


def test_an_end_can_wait_until_the_broker_has_it(broker: Broker, topic: str) -> None:
    """When the call returns, the events are in the log."""
    lai.configure(bootstrap_servers=broker.bootstrap_servers, topic=topic)
    lai.init(session_id="a")
    lai.end_session(is_successful=True, wait_for_flush=True)
    assert [event.get("is_successful") for event in events_in(broker, topic)] == [None, True]
    lai.shutdown()
    assert lai.stats() == lai.Stats(accepted=2, delivered=2)


def test_a_dead_broker_is_never_seen_by_the_worker() -> None:
    """No call raises or waits for it, nothing is printed, and the process ends in its bound."""
    worker = run_worker(
        "lai.init(session_id='a')\n"
        "for step in range(1000): lai.update_session(session_eval=step)\n"
        "lai.end_session(wait_for_flush=True)\n"
        "assert not lai.flush(0.1)\n"
        "assert lai.stats() == lai.Stats(accepted=1002, in_flight=1002), lai.stats()\n"
        "lai.shutdown()\n"
        "assert lai.stats() == lai.Stats(accepted=1002, spooled=1002), lai.stats()\n",
        bootstrap_servers=NOWHERE,
        end_timeout_seconds="0.2",
        exit_timeout_seconds="0.2",
    )
    assert (worker.returncode, worker.stdout, worker.stderr) == (0, "", "")


def test_a_dead_broker_does_not_flood_the_log_of_those_who_look() -> None:
    """A few lines of the client's, and one on what became of the events."""
    worker = run_worker(
        "import logging, time\n"
        "logging.basicConfig(level=logging.DEBUG)\n"
        "lai.init(); time.sleep(3)\n",
        bootstrap_servers=NOWHERE,
        exit_timeout_seconds="0.1",
        kafka_reconnect_backoff_max_ms="100",
    )
    lines = worker.stderr.splitlines()
    assert worker.returncode == 0
    assert 1 <= sum(line.startswith("ERROR:sessionfold.kafka:") for line in lines) <= 5
    assert lines[-1] == (
        "WARNING:sessionfold:2 of 2 updates were not delivered by the end "
        "(after at most 0.1 s): 2 are spooled"
    )


def test_a_broker_that_comes_back_gets_everything_in_order(own_broker: KafkaBroker) -> None:
    """What was said while it was away is in the log once, behind what was said before."""
    create_topic(own_broker, "t")
    lai.configure(bootstrap_servers=own_broker.bootstrap_servers, topic="t")
    lai.init(session_id="a")
    for step in range(300):
        if step == 100:
            own_broker.kill()
        if step == 200:
            own_broker.restart()
        lai.update_session(session_eval=step)
    assert lai.flush(60)
    events = events_in(own_broker, "t")
    assert [event.get("session_eval") for event in events] == [None, *range(300)]
    assert lai.stats() == lai.Stats(accepted=301, delivered=301)


def test_what_was_given_up_is_told_by_the_next_event(own_broker: KafkaBroker) -> None:
    """The broker is away for longer than an event may wait; no update is unaccounted for."""
    create_topic(own_broker, "t", partitions=1)
    lai.configure(
        bootstrap_servers=own_broker.bootstrap_servers,
        topic="t",
        delivery_timeout_seconds=1,
        on_full="drop",
    )
    lai.init(session_id="a")
    update_until_delivered()
    own_broker.terminate()
    for _ in range(3):
        lai.update_session(task="lost")
    assert not lai.flush(30)
    assert lai.stats().dropped >= 3
    own_broker.restart()
    update_until_delivered()
    events = events_in(own_broker, "t")
    assert "lost" not in {event.get("task") for event in events}
    assert sum(1 + event["lost_before"] for event in events) == lai.stats().accepted


def update_until_delivered() -> None:
    """Update until an update is delivered: the first contact may take longer than events wait."""
    lai.update_session(task="here")
    while not lai.flush(30):
        lai.update_session(task="here")


def javas_partition(key: bytes, partitions: int) -> int:
    """Return the partition of a key by Java's default partitioner: murmur2, its sign bit cleared.

    Source: the description of MurmurHash2, 32 bits, with the seed of Kafka's Java clients.
    """
    mixed = 0x9747B28C ^ len(key)
    whole = len(key) - len(key) % 4
    for start in range(0, whole, 4):
        word = _times(int.from_bytes(key[start : start + 4], "little"))
        word = _times(word ^ word >> 24)
        mixed = _times(mixed) ^ word
    if key[whole:]:
        mixed = _times(mixed ^ int.from_bytes(key[whole:], "little"))
    mixed = _times(mixed ^ mixed >> 13)
    return ((mixed ^ mixed >> 15) & 0x7FFFFFFF) % partitions


def _times(number: int) -> int:
    return number * 0x5BD1E995 & 0xFFFFFFFF


CHILDREN = """
import multiprocessing, sys
import sessionfold as lai

def work(number):
    lai.init(session_id=f"child-{number}")
    for step in range(50):
        lai.update_session(session_eval=step)

if __name__ == "__main__":
    lai.init(session_id="parent")
    context = multiprocessing.get_context(sys.argv[1])
    children = [context.Process(target=work, args=(number,)) for number in range(3)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print([child.exitcode for child in children])
"""


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_children_of_multiprocessing_deliver_what_waits(
    broker: Broker, topic: str, tmp_path: Path, method: str
) -> None:
    """They end by ``os._exit``, which runs no atexit handler before Python 3.13."""
    program = tmp_path / "children.py"
    program.write_text(CHILDREN)
    ended = subprocess.run(
        [sys.executable, str(program), method],
        env=os.environ
        | {"SESSIONFOLD_BOOTSTRAP_SERVERS": broker.bootstrap_servers, "SESSIONFOLD_TOPIC": topic},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout.strip()) == (0, "[0, 0, 0]"), ended.stderr
    found = by_session(events_in(broker, topic))
    assert sorted(found) == ["child-0", "child-1", "child-2", "parent"]
    for session_id, events in found.items():
        expected = [] if session_id == "parent" else list(range(50))
        assert [each["session_eval"] for each in events if "session_eval" in each] == expected
        assert events[-1]["is_finished"] is True
