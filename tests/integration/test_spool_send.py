"""``sessionfold spool send`` on a real broker: what killed workers have left comes to the topic."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from sessionfold import spool
from sessionfold._spooling.journal import Entry
from sessionfold._spooling.spool import Destination, Spool
from sessionfold_schemas import decode, encode
from tests.services.kafka import Broker, KafkaBroker
from tests.services.spooling import end_with_spool, kill_with_spool, living_worker
from tests.services.topics import create_topic, read_all

pytestmark = pytest.mark.kafka

_SEND = [sys.executable, "-W", "error", "-c", "from sessionfold_consumer.cli import main; main()"]


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A directory that is not there yet."""
    return tmp_path / "spool"


def sending(
    where: Path, broker: Broker, topic: str, *options: str, timeout_seconds: float = 30
) -> subprocess.Popen[str]:
    """Start the command."""
    given = ["--directory", str(where), "--bootstrap-servers", broker.bootstrap_servers]
    given += ["--topic", topic, "--timeout", str(timeout_seconds), *options]
    return subprocess.Popen(
        [*_SEND, "spool", "send", *given],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def send(
    where: Path, broker: Broker, topic: str, *options: str, timeout_seconds: float = 30
) -> tuple[int, str, str]:
    """Run the command; return how it ended, and what it said on stdout and stderr."""
    run = sending(where, broker, topic, *options, timeout_seconds=timeout_seconds)
    said, complained = run.communicate()
    return run.returncode, said, complained


def by_session(broker: Broker, topic: str) -> dict[str, list[dict[str, Any]]]:
    """Return the events of each session in log order, decoded by the strict reference."""
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in read_all(broker, topic):
        _, event = decode(record.value, key=record.key)
        found[event["session_id"]].append(event)
    return found


def sequences(broker: Broker, topic: str) -> set[int]:
    """Return the numbers of the events in a topic."""
    return {each["sequence"] for events in by_session(broker, topic).values() for each in events}


def filled(where: Path, broker: Broker, topic: str, events: int, producer_id: str = "p") -> None:
    """Leave a file of real events behind, of ten sessions; each event says its number."""
    destination = Destination(topic=topic, bootstrap_servers=broker.bootstrap_servers)
    left_by = Spool(where, destination, producer_id)
    left_by.create().append([event(number, producer_id) for number in range(events)])
    left_by.close()


def event(number: int, producer_id: str, task: str | None = None) -> Entry:
    """An event of one of ten sessions."""
    session_id = f"{producer_id}-{number % 10}"
    value = encode(
        {
            "session_id": session_id,
            "occurred_at": 1_700_000_000_000_000 + number,
            "producer_id": producer_id,
            "sequence": number,
            "lost_before": 0,
            "session_eval": float(number),
            "task": task,
        }
    )
    return Entry(number, 1, session_id.encode(), value)


def test_what_ended_and_killed_workers_left_is_delivered_in_order(
    where: Path, broker: Broker, topic: str
) -> None:
    """All of it, each once, and the directory is empty; the second time there is nothing to do."""
    servers = broker.bootstrap_servers
    end_with_spool(where, servers, topic, 60, name="ended")
    spooled = kill_with_spool(where, servers, topic, 60, name="killed")
    code, said, complained = send(where, broker, topic)
    assert (code, complained) == (0, "")
    assert said == f"sent {60 + spooled} updates, 2 files done\n"
    assert list(where.iterdir()) == []
    sessions = by_session(broker, topic)
    for number in range(3):
        steps = [f"step {step}" for step in range(60) if step % 3 == number]
        assert [each["task"] for each in sessions[f"ended-{number}"]] == steps
        # Its first twelve were in memory when it was killed.
        assert [each["task"] for each in sessions[f"killed-{number}"]] == steps[4:]
    assert send(where, broker, topic)[1].startswith("nothing is spooled in ")


def test_a_living_worker_keeps_its_own(where: Path, broker: Broker, topic: str) -> None:
    """It is said, it is no error, and nothing of it is in the topic."""
    with living_worker(where, broker.bootstrap_servers, topic, 40, name="living") as waiting:
        code, said, complained = send(where, broker, topic)
        assert (code, complained) == (0, "")
        assert f"({waiting} updates): a living process owns it" in said
        assert by_session(broker, topic) == {}
    assert send(where, broker, topic)[:2] == (0, f"sent {waiting} updates, 1 file done\n")


def test_killed_at_any_moment_it_goes_on_where_it_was(
    where: Path, broker: Broker, topic: str
) -> None:
    """Every event is there; what is there twice is a repeated end, so the last word is the last."""
    events = 30_000
    filled(where, broker, topic, events)
    chance = random.Random(4)
    kills = 0
    while spool.status(where).files:
        run = sending(where, broker, topic)
        # At first before an event is published, and in the end after the last, on any machine.
        time.sleep(chance.uniform(0.3, 0.6 + 0.1 * kills))
        run.kill()
        run.communicate()
        kills += 1
    assert kills > 0
    found = by_session(broker, topic)
    for number in range(10):
        numbers = [each["sequence"] for each in found[f"p-{number}"]]
        assert sorted(set(numbers)) == list(range(number, events, 10))
        assert numbers[-1] == max(numbers)
        steps = [now - before for before, now in pairwise(numbers)]
        assert {step for step in steps if step > 0} == {10}


def test_two_at_once_send_each_file_once(where: Path, broker: Broker, topic: str) -> None:
    """Together they send everything."""
    for number in range(6):
        filled(where, broker, topic, 2_000, producer_id=f"p{number}")
    runs = [sending(where, broker, topic) for _ in range(2)]
    for run in runs:
        run.communicate()
    assert [run.returncode for run in runs] == [0, 0]
    assert send(where, broker, topic)[0] == 0
    found = by_session(broker, topic)
    assert sum(map(len, found.values())) == 6 * 2_000
    assert list(where.iterdir()) == []


def test_what_the_broker_refuses_is_said_and_its_neighbours_are_delivered(
    where: Path, broker: Broker, topic: str
) -> None:
    """An event that is larger than the topic takes; not the request that it was a part of."""
    name = f"{topic}-small"
    create_topic(broker, name, max_message_bytes="1000")
    left_by = Spool(where, Destination(topic=name, bootstrap_servers=broker.bootstrap_servers), "p")
    noise = random.Random(5).randbytes(3_000).hex()
    journal = left_by.create()
    journal.append([event(number, "p", noise if number == 7 else "t") for number in range(20)])
    left_by.close()
    code, said, complained = send(where, broker, name)
    assert code == 18
    assert said.startswith("sent 19 updates, 1 file done\n")
    assert complained == (
        "sessionfold: the broker refused 1 update for good, which the spool no longer has: "
        "Broker: Message size too large\n"
    )
    sequences = {
        each["sequence"] for events in by_session(broker, name).values() for each in events
    }
    assert sequences == {number for number in range(20) if number != 7}


def test_a_topic_that_is_not_there_is_said(where: Path, broker: Broker) -> None:
    """Before anything is published; the files stay."""
    filled(where, broker, "missing", 5)
    code, said, complained = send(where, broker, "missing")
    assert (code, said) == (7, "")
    assert "the topic missing does not exist on this broker" in complained
    assert [each.events for each in spool.status(where).files] == [5]


def test_a_broker_that_stops_answering_is_given_up(where: Path, own_broker: KafkaBroker) -> None:
    """With its own code, and everything that was not acknowledged is sent the next time."""
    create_topic(own_broker, "t")
    filled(where, own_broker, "t", 100_000)
    [path] = where.glob("*.spool")
    unsent = path.stat().st_size
    run = sending(where, own_broker, "t", timeout_seconds=5)
    while path.stat().st_size == unsent and run.poll() is None:  # until the first mark is appended
        time.sleep(0.001)
    os.kill(own_broker.pid, signal.SIGSTOP)
    said, complained = run.communicate()
    os.kill(own_broker.pid, signal.SIGCONT)
    assert run.returncode == 18
    assert "the broker acknowledged nothing for 5 s" in said
    assert complained.endswith("could not be delivered and stay in the spool; send them again\n")
    [file] = spool.status(where).files
    assert 0 < file.events < 100_000
    assert send(where, own_broker, "t")[0] == 0
    assert sequences(own_broker, "t") == set(range(100_000))


def test_settings_of_the_client_come_from_the_environment(
    where: Path, broker: Broker, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And one that the client does not know is a sentence."""
    filled(where, broker, topic, 5)
    monkeypatch.setenv("SESSIONFOLD_KAFKA_COMPRESSION_TYPE", "none-of-these")
    code, _, complained = send(where, broker, topic)
    assert code == 3
    assert 'Invalid value for configuration property "compression' in complained
    assert len(complained.splitlines()) == 1
    monkeypatch.setenv("SESSIONFOLD_KAFKA_COMPRESSION_TYPE", "gzip")
    assert send(where, broker, topic)[0] == 0


def test_a_program_sends_to_brokers_that_have_another_address_now(
    where: Path, broker: Broker, topic: str
) -> None:
    """As the manual shows it; progress counts updates, up to all of them."""
    left_by = Spool(where, Destination(topic=topic, bootstrap_servers="old:9092"), "p")
    left_by.create().append([event(number, "p") for number in range(50)])
    left_by.close()
    progress: list[tuple[int, int]] = []
    sent = spool.send(
        where,
        topic=topic,
        bootstrap_servers="old:9092",
        kafka={"bootstrap.servers": broker.bootstrap_servers},
        on_progress=lambda delivered, total: progress.append((delivered, total)),
    )
    assert (sent.delivered, sent.files, sent.is_complete) == (50, 1, True)
    assert {total for _, total in progress} == {50}
    assert sequences(broker, topic) == set(range(50))
