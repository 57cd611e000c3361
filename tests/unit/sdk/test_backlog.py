"""The way over the disk: whatever fails and whoever dies, an old value never ends up on top.

The broker is a list; what becomes of each event is the test's choice, also that it got into the log
and was reported as failed. Two processes share a spool directory; a session moves from one to the
other when the first is gone, or has nothing of it in memory.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

from sessionfold import _sender
from sessionfold._client import Client
from sessionfold._config import load
from sessionfold._publisher import QUEUE_IS_FULL, NotTakenError, OnDelivery
from sessionfold._spooling import backlog as _backlog
from sessionfold._spooling import line as _line
from sessionfold._stats import Failure, Stats
from sessionfold.testing import MemoryRecord
from sessionfold_schemas import decode

SESSIONS = ("a", "b", "c")
FIELDS = ("session_eval", "task", "session_eval_reason")
ROOM = 8

Event = dict[str, Any]


class Broker:
    """The log, and how many events a client's queue takes."""

    def __init__(self) -> None:
        self.log: list[Event] = []
        self.capacity = 1_000

    def append(self, record: MemoryRecord) -> None:
        """Let an event be in the log."""
        self.log.append(decode(record.value(), key=record.key())[1])


class Link:
    """One client's publisher."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._waiting: deque[tuple[MemoryRecord, OnDelivery]] = deque()
        self._due: deque[tuple[str | None, MemoryRecord, OnDelivery]] = deque()
        self.in_log_at_close = 0
        self.healthy = False
        self.failed = False

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Take an event, if there is room."""
        if len(self._waiting) >= self._broker.capacity:
            raise NotTakenError(QUEUE_IS_FULL)
        self._waiting.append((MemoryRecord(key, value), on_delivery))

    def poll(self, timeout_seconds: float, *, hurry: bool = False) -> None:
        """Report what was decided."""
        if self.healthy:
            self.settle(len(self._waiting), in_log=True, error=None)
        while self._due:
            error, record, on_delivery = self._due.popleft()
            on_delivery(error, record)

    def settle(self, count: int, *, in_log: bool, error: str | None) -> None:
        """Decide on the oldest events."""
        for _ in range(min(count, len(self._waiting))):
            record, on_delivery = self._waiting.popleft()
            if in_log:
                self._broker.append(record)
            self._due.append((error, record, on_delivery))

    def close(self) -> None:
        """Give up; some of what waits may have got into the log."""
        self.settle(self.in_log_at_close, in_log=True, error="purged in flight")
        self.settle(len(self._waiting), in_log=False, error="purged")
        self.poll(0)

    def has_failed(self) -> bool:
        """Say whether another is needed, once."""
        failed, self.failed = self.failed, False
        return failed

    def is_refusal(self, error: object) -> bool:
        """Refuse nothing for good."""
        return False


class Process:
    """A worker with a client of its own, without a thread."""

    def __init__(self, broker: Broker, directory: Path) -> None:
        self.told: list[Failure] = []
        settings = load(
            {},
            spool_directory=directory,
            queue_events=ROOM,
            exit_timeout_seconds=0,
            on_failure=self.told.append,
        )
        self.broker = broker
        self.links: list[Link] = []
        self.client = Client(settings, self._link, threaded=False)

    def _link(self, _: object) -> Link:
        self.links.append(Link(self.broker))
        return self.links[-1]

    @property
    def link(self) -> Link:
        """The publisher in use."""
        return self.links[-1]

    def update(self, session_id: str, fields: Event) -> None:
        """Do what a call does, on a session of which others may have events.

        The client has its turns whenever its queue is full: what calls drop is no matter of disks.
        """
        self.client.publish(self.client.session(session_id), dict(fields), 160)
        while not self.client.inbox._has_room(urgent=False):
            self.stats()

    def stats(self) -> Stats:
        """Turn, and check the books."""
        stats = self.client.stats()
        assert stats.accepted == stats.delivered + stats.spooled + stats.dropped + stats.in_flight
        assert min(stats.spooled, stats.in_flight, stats.adopted_waiting) >= 0
        return stats

    def kill(self) -> None:
        """End as by SIGKILL: what is in memory is gone, and the kernel frees the locks."""
        sender = self.client.sender
        assert sender is not None
        assert sender._backlog is not None
        sender._backlog._spool.close()

    def exit(self) -> None:
        """End in order, with no time to deliver."""
        self.client.close(0)


class World:
    """Two processes, and who owns which session."""

    def __init__(self, directory: Path) -> None:
        self.broker = Broker()
        self.directory = directory
        self.processes = [self.start(), self.start()]
        self.owner = dict.fromkeys(SESSIONS, 0)
        self.number = 0
        self.given: dict[tuple[str, str], int] = {}
        self.killed = False

    def start(self) -> Process:
        """Start a process."""
        return Process(self.broker, self.directory)

    def update(self, session_id: str, fields: frozenset[str]) -> None:
        """Give each field the next number."""
        values: Event = {}
        for field in sorted(fields):
            self.number += 1
            self.given[session_id, field] = self.number
            values[field] = float(self.number) if field == "session_eval" else str(self.number)
        self.processes[self.owner[session_id]].update(session_id, values)

    def settle(self, process: int, count: int, in_log: bool, error: str | None) -> None:
        """Decide on some of a process's events."""
        self.processes[process].link.settle(count, in_log=in_log, error=error)
        self.processes[process].stats()

    def end(self, process: int, how: str, in_log: int) -> None:
        """End a process and start one in its place; its sessions go to the other."""
        ending = self.processes[process]
        ending.link.in_log_at_close = in_log
        if how == "kill":
            self.killed |= ending.stats().in_flight > 0
            ending.kill()
        elif how == "exit":
            ending.exit()
            stats = ending.client.inbox.stats(0, 0)
            overtaken = sum(f.dropped for f in ending.told if f.reason == _sender._OVERTAKEN)
            assert stats.accepted == stats.delivered + stats.spooled + overtaken
        else:
            ending.link.failed = True
            ending.stats()
            return
        self.processes[process] = self.start()
        for session_id, owner in self.owner.items():
            if owner == process:
                self.resume(session_id, 1 - process)

    def hand_over(self, session_id: str) -> None:
        """Let the other process go on, unless this one has events of it in memory."""
        owner = self.owner[session_id]
        if self.processes[owner].stats().in_flight == 0:
            self.resume(session_id, 1 - owner)

    def resume(self, session_id: str, process: int) -> None:
        """Let a process go on with a session, by ``init(session_id=...)``."""
        self.owner[session_id] = process
        self.processes[process].client.session(session_id).is_placed = False

    def turn(self) -> None:
        """Let time go by."""
        for process in self.processes:
            process.stats()

    def recover(self) -> None:
        """Let the broker be well and everybody work until nothing waits."""
        self.broker.capacity = 1_000
        for _ in range(200):
            for process in self.processes:
                process.link.healthy = True
                process.stats()
        for process in self.processes:
            stats = process.stats()
            assert (stats.in_flight, stats.spooled, stats.adopted_waiting) == (0, 0, 0)
        assert [path for path in self.directory.glob("*.spool") if path.is_file()] == []


@contextmanager
def no_waiting() -> Iterator[None]:
    """Do at once what else happens every now and then."""
    with (
        patch.object(_backlog, "_LOOK_SECONDS", 0.0),
        patch.object(_backlog, "_ADOPT_SECONDS", 0.0),
        patch.object(_backlog, "_RETRY_SECONDS", 0.0),
        patch.object(_line, "_BACKOFF_SECONDS", 0.0),
        patch.object(_sender, "_RENEW_SECONDS", 0.0),
    ):
        yield


processes = st.integers(0, 1)
counts = st.integers(1, 6)
some_fields = st.frozensets(st.sampled_from(FIELDS), min_size=1)
outcomes = st.sampled_from([(True, None), (True, None), (False, "timed out"), (True, "timed out")])
steps = st.one_of(
    st.tuples(st.just("update"), st.sampled_from(SESSIONS), some_fields),
    st.tuples(st.just("update"), st.sampled_from(SESSIONS), some_fields),
    st.tuples(st.just("settle"), processes, counts, outcomes),
    st.tuples(st.just("end"), processes, st.sampled_from(["kill", "exit", "fail"]), counts),
    st.tuples(st.just("hand over"), st.sampled_from(SESSIONS)),
    st.tuples(st.just("capacity"), st.sampled_from([0, 2, 1_000])),
    st.tuples(st.just("turn")),
)

EVAL = frozenset(["session_eval"])


@given(st.lists(steps, max_size=60))
@example([("update", "a", EVAL), ("turn",), ("end", 0, "exit", 1), ("update", "a", EVAL)])
@example([*[("update", "a", EVAL)] * 5, *[("update", "b", EVAL)] * 3, ("update", "a", EVAL)])
@example(
    [
        ("update", "b", EVAL), ("turn",), ("update", "b", EVAL),
        ("settle", 0, 1, (False, "timed out")), ("update", "a", EVAL),
        ("settle", 0, 1, (True, None)), ("end", 0, "exit", 1),
    ]
)  # fmt: skip
@example(
    [
        ("update", "a", EVAL), ("update", "a", EVAL), ("turn",),
        ("settle", 0, 1, (False, "timed out")), ("settle", 0, 1, (True, None)),
    ]
)  # fmt: skip
def test_whatever_happens_the_newest_value_ends_on_top(story: list[tuple[Any, ...]]) -> None:
    """And when nobody was killed, it is the last that was given; nothing is dropped."""
    with tempfile.TemporaryDirectory() as directory, no_waiting():
        world = World(Path(directory) / "spool")
        for step in story:
            perform(world, *step)
        world.recover()
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for event in world.broker.log:
        for field in FIELDS:
            if event[field] is not None:
                found[event["session_id"], field].append(int(event[field]))
    for numbers in found.values():
        assert numbers[-1] == max(numbers)
    if not world.killed:
        assert {name: numbers[-1] for name, numbers in found.items()} == world.given


def perform(world: World, step: str, *arguments: Any) -> None:  # noqa: ANN401
    """Do one step of a story."""
    match step:
        case "capacity":
            world.broker.capacity = arguments[0]
        case "settle":
            process, count, (in_log, error) = arguments
            world.settle(process, count, in_log, error)
        case _:
            getattr(world, step.replace(" ", "_"))(*arguments)
