"""What is measured side by side: the SDK's call, the Kafka client's own, and a call of nothing.

A side belongs to a process of its own. It is told where to send, makes calls, and says at its end
how many events should have arrived; who started the process counts them there.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from confluent_kafka import KafkaError, Message, Producer

import sessionfold as lai
from benchmarks.sdk_timing import Call
from sessionfold import _publisher
from sessionfold_schemas import encode

TASK = "Resolve billing dispute"
REASON = "found the duplicate charge"
EVAL = 0.4

SDK, SDK_FULL = "update_session", "update_session, full"
PRODUCE, CALLBACK = "produce", "produce, callback"
NOTHING = "an empty call"

FLUSH_SECONDS = 120.0

_DOWN_SECONDS = 1.0
_POLL_SECONDS = 0.1
_MANY_SESSIONS = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a side sends to, and how many events may wait for that."""

    bootstrap_servers: str
    topic: str
    is_up: bool = True
    """Whether a broker is there."""
    queue_events: int = 100_000
    queue_kilobytes: int = 65_536
    sink_port: int = 0
    """Where the peers' own protocols are taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What a side says at its end."""

    events: int
    """How many should have arrived."""
    books: Mapping[str, int] = field(default_factory=dict)
    """The SDK's accounts, by their names in ``stats()``, as far as they are not 0."""


class Side(Protocol):
    """One way to report three values of a session."""

    def make_call(self) -> Call:
        """Return the function that is timed. Called in each thread that makes calls."""

    def flush(self) -> None:
        """Wait until everything has been sent.

        Raises:
            RuntimeError: when that takes too long.
        """

    def close(self, calls: int) -> Sent:
        """End, after this many calls.

        Raises:
            RuntimeError: when the side cannot account for every call.
        """


class Nothing:
    """The cost of the clock and the loop."""

    def __init__(self, _: Place) -> None:
        pass

    def make_call(self) -> Call:
        """Return a function that does nothing."""

        def call() -> None:
            pass

        return call

    def flush(self) -> None:
        """Nothing is under way."""

    def close(self, _: int) -> Sent:
        """Nothing was sent."""
        return Sent(events=0)


class UpdateSession:
    """``update_session`` with three fields, each thread in a session of its own."""

    def __init__(self, place: Place) -> None:
        self._is_up = place.is_up
        lai.configure(**_settings(place))

    def make_call(self) -> Call:
        """Begin a session, which is this thread's current one."""
        lai.init(session_name="Benchmark")

        def call() -> None:
            lai.update_session(task=TASK, session_eval=EVAL, session_eval_reason=REASON)

        return call

    def flush(self) -> None:
        """Wait as a worker would; without a broker it would wait for nothing."""
        if self._is_up and not lai.flush(FLUSH_SECONDS):
            raise RuntimeError(f"not everything was delivered: {lai.stats()}")

    def close(self, calls: int) -> Sent:
        """Hold the accounts to the calls, and what was delivered to whether it could be."""
        lai.shutdown(FLUSH_SECONDS if self._is_up else _DOWN_SECONDS)
        stats = lai.stats()
        told = stats.delivered + stats.spooled + stats.dropped + stats.in_flight
        if stats.accepted != told or stats.accepted <= calls or stats.in_flight:
            raise RuntimeError(f"{calls} calls, and accounts that do not balance: {stats}")
        expected = stats.accepted if self._is_up else 0
        if stats.delivered != expected or (self._is_up and stats.coalesced):
            raise RuntimeError(f"delivered must be {expected}, each for itself: {stats}")
        books = {name: number for name, number in asdict(stats).items() if number}
        return Sent(events=expected, books=books)


class UpdateManySessions(UpdateSession):
    """The same with many sessions in turn: in a full queue few can be carried by a later update."""

    def make_call(self) -> Call:
        """Begin the sessions."""
        names = [lai.init(session_name="Benchmark") for _ in range(_MANY_SESSIONS)]
        next_name = itertools.cycle(names).__next__

        def call() -> None:
            lai.update_session(TASK, EVAL, REASON, session_id=next_name())

        return call


class Produce:
    """A bare ``produce()`` of an equally long value, with the SDK's settings and a poll thread."""

    def __init__(self, place: Place) -> None:
        self._place = place
        settings = _publisher.client_settings(lai.Configuration(**_settings(place)))
        self._producer = Producer(settings, logger=_silent())
        self._ended = threading.Event()
        self._poller = threading.Thread(target=self._poll)
        self._poller.start()

    def make_call(self) -> Call:
        """Return a call that publishes under a key of this thread's own."""
        produce, topic = self._producer.produce, self._place.topic
        key, value = _record()

        def call() -> None:
            produce(topic, value, key)

        return call

    def flush(self) -> None:
        """Wait until the client's queue is empty."""
        if self._place.is_up and self._producer.flush(FLUSH_SECONDS):
            raise RuntimeError(f"{len(self._producer)} records were not delivered")

    def close(self, calls: int) -> Sent:
        """Drop what no broker can take, and stop polling."""
        if not self._place.is_up:
            self._producer.purge()
        self._ended.set()
        self._poller.join()
        self._producer.flush(_DOWN_SECONDS)
        return Sent(events=calls if self._place.is_up else 0)

    def _poll(self) -> None:
        while not self._ended.is_set():
            self._producer.poll(_POLL_SECONDS)


class ProduceWithCallback(Produce):
    """The same with a delivery callback for each record, which the SDK's accounts need."""

    def make_call(self) -> Call:
        """Return a call that publishes under a key of this thread's own."""
        produce, topic = self._producer.produce, self._place.topic
        key, value = _record()
        on_delivery = _refuse_failure if self._place.is_up else _ignore_report

        def call() -> None:
            produce(topic, value, key, -1, on_delivery)

        return call


def _settings(place: Place) -> dict[str, Any]:
    return {
        "bootstrap_servers": place.bootstrap_servers,
        "topic": place.topic,
        "queue_events": place.queue_events,
        "queue_kilobytes": place.queue_kilobytes,
    }


def _record() -> tuple[bytes, bytes]:
    """Return key and value of one update as the SDK encodes it, so of the same length."""
    session_id = str(uuid.uuid4())
    event = {
        "session_id": session_id,
        "occurred_at": time.time_ns() // 1000,
        "producer_id": str(uuid.uuid4()),
        "sequence": 100_000,
        "lost_before": 0,
        "task": TASK,
        "session_eval": EVAL,
        "session_eval_reason": REASON,
    }
    return session_id.encode(), encode(event)


def _refuse_failure(error: KafkaError | None, _: Message) -> None:
    if error is not None:
        raise RuntimeError(f"the broker did not take a record: {error.str()}")


def _ignore_report(_error: KafkaError | None, _: Message) -> None:
    pass


def _silent() -> logging.Logger:
    """Return a logger for the client: its lines come out of ``poll()``, as with the SDK."""
    logger = logging.getLogger("benchmarks.produce")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
