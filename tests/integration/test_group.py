"""Services in a consumer group of a real broker, over one SQLite file."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest

import sessionfold_schemas as contract
from sessionfold_consumer import bootstrap
from sessionfold_consumer.config import Settings
from sessionfold_consumer.errors import ConsumerError, StoreUnusableError
from sessionfold_consumer.observer import Observer, Progress
from sessionfold_consumer.store import open_store
from tests import oracle
from tests.services.groups import alter_committed_offsets, committed_offsets, delete_group
from tests.services.kafka import Broker
from tests.services.topics import append, end_offsets, read_all

pytestmark = pytest.mark.kafka

_PATIENCE_SECONDS = 30.0
_STOP_SECONDS = 10.0
_SESSION_SECONDS = 90.0

_SESSIONFOLD = str(Path(sys.executable).with_name("sessionfold"))


class Member(Observer):
    """A service in a thread of its own, with its own source and its own connection to the store."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.progress: Progress | None = None
        self.error: ConsumerError | None = None
        self._thread.start()

    def partitions(self) -> set[int]:
        """Return the partitions that it holds now."""
        return set(self.progress.next_offsets) if self.progress else set()

    def stop(self) -> None:
        """Let it leave the group."""
        self._stopping.set()
        self._thread.join(_PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the service did not stop"

    def _run(self) -> None:
        wiring = bootstrap.Wiring(in_group=True)
        try:
            with bootstrap.service(self._settings, wiring, self) as service:
                service.run(self._stopping.is_set)
        except ConsumerError as error:
            self.error = error

    def progressed(self, progress: Progress) -> None:
        """Keep how far it is."""
        self.progress = progress


class Group:
    """Members over one topic and one store."""

    def __init__(self, broker: Broker, topic: str, folder: Path, protocol: str) -> None:
        self.broker = broker
        self.topic = topic
        self.store = f"sqlite:///{folder / 'sessions.db'}"
        self.group_id = f"{topic}-group"
        self.protocol = protocol
        self._members: list[Member] = []

    def join(self) -> Member:
        """Start a member."""
        self._members.append(Member(Settings.model_validate(self.settings())))
        return self._members[-1]

    def settings(self) -> dict[str, Any]:
        """Return the settings of a member."""
        return {
            "bootstrap_servers": self.broker.bootstrap_servers,
            "topic": self.topic,
            "store": self.store,
            "group_id": self.group_id,
            "group_protocol": self.protocol,
            "batch_records": 500,
        }

    def next_offsets(self) -> dict[int, int]:
        """Return the store's positions; none while no member has made it."""
        with (
            suppress(StoreUnusableError),
            closing(open_store(self.store, read_only=True)) as store,
        ):
            return {p: held.next_offset for p, held in store.positions().items()}
        return {}

    def wait_until_caught_up(self, patience_seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until the store is at the log's ends."""
        ends = end_offsets(self.broker, self.topic)
        wait_for(lambda: self.next_offsets() == ends, patience_seconds)

    @contextmanager
    def process(self, command: list[str]) -> Iterator[subprocess.Popen[str]]:
        """Start a member as a process; it is killed at the end."""
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                yield process
            finally:
                process.kill()

    def stop(self) -> None:
        """Stop all members."""
        for member in self._members:
            member.stop()

    def assert_right(self) -> None:
        """Hold the store to the plain fold of the topic, and the members to no error."""
        assert [member.error for member in self._members if member.error] == []
        expected = oracle.fold(read_all(self.broker, self.topic))
        with closing(open_store(self.store, read_only=True)) as store:
            assert list(store.states()) == oracle.ordered(expected.states)
            letters = {(each.partition, each.offset): each.reason for each in store.dead_letters()}
        assert letters == expected.refused


@pytest.fixture(params=["classic", "consumer"])
def group(
    request: pytest.FixtureRequest, broker: Broker, topic: str, tmp_path: Path
) -> Iterator[Group]:
    """A group without members, by each of Kafka's two protocols."""
    group = Group(broker, topic, tmp_path, request.param)
    yield group
    group.stop()


def test_a_member_joins_and_leaves_while_records_flow(group: Group) -> None:
    """Partitions go to the second member and back; every event is folded exactly once."""
    random = Random(7)
    first = group.join()
    write(group, random)
    wait_for(lambda: len(first.partitions()) == 4)
    second = group.join()
    wait_for(lambda: write(group, random) and len(second.partitions()) == 2)
    assert not first.partitions() & second.partitions()
    write(group, random)
    second.stop()
    wait_for(lambda: write(group, random) and len(first.partitions()) == 4)
    group.wait_until_caught_up()
    group.stop()
    group.assert_right()


def test_the_offsets_that_kafka_keeps_are_never_read(group: Group) -> None:
    """An operator who sets them back or forward changes nothing; the store's positions count."""
    random = Random(8)
    write(group, random)
    group.join()
    group.wait_until_caught_up()
    group.stop()
    ends = end_offsets(group.broker, group.topic)
    for offset in (0, 1_000_000):
        alter_committed_offsets(
            group.broker, group.group_id, group.topic, dict.fromkeys(ends, offset)
        )
        write(group, random)
        group.join()
        group.wait_until_caught_up()
        group.stop()
        group.assert_right()


def test_the_offsets_that_kafka_keeps_may_be_gone(group: Group) -> None:
    """A group that was deleted, or whose offsets expired, goes on at the store's positions."""
    random = Random(9)
    write(group, random)
    group.join()
    group.wait_until_caught_up()
    group.stop()
    delete_group(group.broker, group.group_id)
    write(group, random)
    group.join()
    group.wait_until_caught_up()
    group.stop()
    group.assert_right()


def test_tools_that_show_lag_see_the_stores_positions(group: Group) -> None:
    """The offsets that Kafka keeps are written after the store's."""
    write(group, Random(10))
    group.join()
    group.wait_until_caught_up()
    wait_for(
        lambda: committed_offsets(group.broker, group.group_id, group.topic) == group.next_offsets()
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_run_ends_on_a_signal(group: Group, number: signal.Signals) -> None:
    """With exit code 0 and within ten seconds, the batch in hand stored and the group left."""
    write(group, Random(11))
    command = [_SESSIONFOLD, "run", "--topic", group.topic, "--store", group.store]
    command += ["--bootstrap-servers", group.broker.bootstrap_servers]
    command += ["--group-id", group.group_id, "--group-protocol", group.protocol]
    with group.process(command) as process:
        group.wait_until_caught_up()
        process.send_signal(number)
        _, errors = process.communicate(timeout=_STOP_SECONDS)
    assert process.returncode == 0, errors
    assert "folded 300 records" in errors
    group.assert_right()


_HOLDING = """
import sys, threading, time
from sessionfold_consumer.observer import Observer
from sessionfold_consumer.service import Checks
from sessionfold_consumer.bootstrap import Wiring, service
from sessionfold_consumer.config import Settings

class Telling(Observer):
    def fenced(self, partitions):
        print("refused", flush=True)

settings = Settings.model_validate_json(sys.argv[1])
with service(settings, Wiring(in_group=True), Telling()) as ready:
    checks = ready._checks
    held = []

    def hold():
        if threading.current_thread() is not threading.main_thread() and not held:
            held.append(True)
            print("holding", flush=True)
            sys.stdin.readline()
        checks.confirm()

    ready._checks = Checks(confirm=hold, inspect=checks.inspect)
    ends = time.monotonic() + 15
    ready.run(lambda: time.monotonic() > ends)
    print(ready.progress().records, flush=True)
"""
"""A member whose first commit waits for a line; commits are what is not in the main thread."""


def test_a_member_that_was_frozen_writes_nothing(group: Group) -> None:
    """Stopped past its session timeout, it wakes with records in hand: the store refuses them."""
    write(group, Random(12))
    kafka = {"session.timeout.ms": "6000", "heartbeat.interval.ms": "500"}
    if group.protocol == "consumer":  # where the broker sets them
        kafka = {}
    settings = json.dumps({**group.settings(), "kafka": kafka})
    with group.process([sys.executable, "-c", _HOLDING, settings]) as frozen:
        assert frozen.stdout is not None
        assert frozen.stdout.readline() == "holding\n"
        frozen.send_signal(signal.SIGSTOP)
        group.join()
        group.wait_until_caught_up(patience_seconds=_SESSION_SECONDS)
        frozen.send_signal(signal.SIGCONT)
        out, errors = frozen.communicate("go on\n", timeout=_PATIENCE_SECONDS)
    group.stop()
    assert {*out.split()} == {"refused", "0"}, errors
    group.assert_right()


def write(group: Group, random: Random, records: int = 300) -> bool:
    """Append events of few sessions, and now and then what is none."""
    append(group.broker, group.topic, [_record(random) for _ in range(records)])
    return True


def _record(random: Random) -> tuple[bytes, bytes]:
    session_id = f"session-{random.randrange(60)}"
    event = {
        "session_id": session_id,
        "occurred_at": random.randrange(10**15),
        "producer_id": "p",
        "sequence": random.randrange(100),
        "lost_before": random.randrange(2),
        "task": f"task {random.randrange(1000)}" if random.random() < 0.5 else None,
        "session_eval": random.random() if random.random() < 0.5 else None,
    }
    value = contract.encode(event)
    return session_id.encode(), value if random.random() < 0.98 else value[:-1]


def wait_for(condition: Callable[[], bool], patience_seconds: float = _PATIENCE_SECONDS) -> None:
    """Wait until a condition holds; fail when it does not for too long."""
    deadline = time.monotonic() + patience_seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)
