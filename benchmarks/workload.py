"""Workloads: seeded streams of events, encoded as the SDK does, and the topic they are put into."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from confluent_kafka import Producer

from sessionfold._ids import RANDOM_BITS, session_id_at
from sessionfold_schemas import encoder, event_prefix, text_bytes
from tests.services.topics import produce

_EPOCH_MICROSECONDS = 1_767_225_600_000_000
_EVENT_MICROSECONDS = 50
_PRODUCERS = 16
_REASONS = (
    "the answer cites its source",
    "two of three checks passed",
    "the customer confirmed",
    "retrying after a timeout of the tool",
    "é, ü and 漢字 are in the reason",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Workload:
    """A stream of events, the same for the same values."""

    events: int
    """How many events."""
    sessions: int
    """How many sessions they belong to; each has its share, give or take one."""
    live: int = 2_000
    """How many sessions are open at a time; their events are interleaved."""
    seed: int = 1
    random_ids: bool = False
    """Take session IDs in no order (UUIDs of version 4) instead of those that the SDK makes."""
    reason_bytes: int | None = None
    """The length of each reason; None takes short sentences, one in five of them beyond ASCII."""

    def records(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield key and value of each record, in the order of the log."""
        chance = random.Random(self.seed)
        sequences = [0] * _PRODUCERS
        waiting = self._sessions(chance)
        live = [session for _, session in zip(range(self.live), waiting, strict=False)]
        for number in range(self.events):
            place = chance.randrange(len(live))
            session = live[place]
            occurred_at = _EPOCH_MICROSECONDS + number * _EVENT_MICROSECONDS
            sequence = sequences[session.producer]
            sequences[session.producer] += 1
            yield session.key, session.next_value(occurred_at, sequence, chance)
            if session.left:
                continue
            following = next(waiting, None)
            if following is not None:
                live[place] = following
            else:
                live[place] = live[-1]
                live.pop()

    def _sessions(self, chance: random.Random) -> Iterator[_Session]:
        each, more = divmod(self.events, self.sessions)
        for number in range(self.sessions):
            name = self._name(number * each, chance)
            yield _Session(name, each + (number < more), number % _PRODUCERS, self.reason_bytes)

    def _name(self, event: int, chance: random.Random) -> str:
        if self.random_ids:
            return str(uuid.UUID(int=chance.getrandbits(128), version=4))
        begun = _EPOCH_MICROSECONDS + event * _EVENT_MICROSECONDS
        return session_id_at(begun * 1_000, chance.getrandbits(RANDOM_BITS))


class _Session:
    """One session's events: an init, updates, an end."""

    def __init__(
        self, session_id: str, events: int, producer: int, reason_bytes: int | None
    ) -> None:
        self.key = session_id.encode()
        self.left = events
        self.producer = producer
        self._events = events
        self._reason_bytes = reason_bytes
        self._prefix = event_prefix(session_id)
        self._producer_id = text_bytes(f"bench-producer-{producer:02}")

    def next_value(self, occurred_at: int, sequence: int, chance: random.Random) -> bytes:
        """Return the encoded value of the session's next event."""
        fields = self._fields(occurred_at, chance)
        self.left -= 1
        encode = encoder(*fields)
        return encode(self._prefix, occurred_at, self._producer_id, sequence, 0, fields)

    def _fields(self, occurred_at: int, chance: random.Random) -> dict[str, object]:
        if self.left == self._events:
            return {"session_name": "benchmark", "task": "start", "is_finished": False,
                    "started_at": occurred_at}  # fmt: skip
        score = chance.random()
        if self.left == 1:
            return {"session_eval": score, "is_successful": score > 0.5,  # noqa: PLR2004
                    "is_successful_reason": self._reason(chance),
                    "is_finished": True, "ended_at": occurred_at}  # fmt: skip
        if score < 0.3:  # noqa: PLR2004
            return {"task": f"step {self._events - self.left}"}
        return {"session_eval": score, "session_eval_reason": self._reason(chance)}

    def _reason(self, chance: random.Random) -> str:
        if self._reason_bytes is None:
            return chance.choice(_REASONS)
        return f"{chance.getrandbits(4 * self._reason_bytes):0{self._reason_bytes}x}"


def fill(bootstrap_servers: str, topic: str, workload: Workload) -> int:
    """Append a workload's records to a topic, as the SDK would; return the sum of their bytes.

    Raises:
        RuntimeError: when the broker did not take all of them.
    """
    return append(bootstrap_servers, topic, workload.records())


def append(bootstrap_servers: str, topic: str, records: Iterable[tuple[bytes, bytes]]) -> int:
    """Append records, keys and values, as the SDK would; see :func:`fill`."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap_servers,
            "enable.idempotence": True,
            "compression.type": "zstd",
            "partitioner": "murmur2_random",
            "linger.ms": 20,
            "queue.buffering.max.messages": 1_000_000,
            "log_level": 0,
        }
    )
    size = 0
    for number, (key, value) in enumerate(records):
        size += len(key) + len(value)
        produce(producer, topic, value, key)
        if number % 10_000 == 0:
            producer.poll(0)
    if producer.flush(120):
        raise RuntimeError(f"the broker did not take all records of {topic}")
    return size
