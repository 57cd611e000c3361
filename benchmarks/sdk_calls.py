"""What a call of ``update_session`` costs, beside a bare ``Producer.produce`` in the same run.

``python -m benchmarks.sdk_calls`` starts a real broker and publishes, in turns: updates through the
SDK; as many equally large values through a bare producer with a delivery callback for each, which
is what the SDK needs to keep its accounts; and the same without callbacks. All three have the SDK's
client settings and a thread that polls. The wall time is the calling thread's, while it makes the
calls; the processor time is the whole process's, until everything is delivered.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from confluent_kafka import KafkaError, Message, Producer

import sessionfold as lai
from sessionfold import _publisher
from sessionfold_schemas import encode
from tests.services.kafka import KafkaBroker, kafka_available
from tests.services.topics import create_topic, unique_topic_name

GOAL_RATIO = 6.0

SDK, CALLBACK, BARE = "update_session", "produce, callback", "produce"

_TASK = "Resolve billing dispute"
_REASON = "found the duplicate charge"
_FLUSH_SECONDS = 120.0

Side = Callable[[int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """The mean cost of one call."""

    wall_microseconds: float
    """Of the calling thread."""
    cpu_microseconds: float
    """Of the whole process, delivery included."""


Round = dict[str, Cost]


def main() -> int:
    """Run the benchmark; return 0 when the goal is met, 1 when not."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sdk_calls", description=__doc__)
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    missing = kafka_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    with KafkaBroker.start(heap_megabytes=1024) as broker:
        topic = unique_topic_name("bench")
        create_topic(broker, topic)
        rounds = _measure(broker.bootstrap_servers, topic, given.calls, given.rounds)
    ratio = _report(rounds, given.calls)
    if given.json is not None:
        given.json.write_text(json.dumps(_figures(rounds, given.calls), indent=2) + "\n")
    return 0 if ratio <= GOAL_RATIO else 1


def _measure(bootstrap_servers: str, topic: str, calls: int, rounds: int) -> list[Round]:
    """Measure the sides in turns, after a short turn of each that is not counted."""
    configuration = lai.Configuration(
        bootstrap_servers=bootstrap_servers,
        topic=topic,
        queue_events=2 * calls,
        queue_kilobytes=2_000_000,
    )
    lai.configure(**configuration.model_dump())
    with lai.session(session_name="Benchmark") as session_id, _polled(configuration) as producer:
        sides = _sides(producer, topic, session_id)
        flush = dict.fromkeys(sides, producer.flush) | {SDK: lai.flush}
        for name, side in sides.items():
            _cost(side, flush[name], max(1, calls // 10))
        measured = [
            {name: _cost(side, flush[name], calls) for name, side in sides.items()}
            for _ in range(rounds)
        ]
    lai.shutdown()
    if lai.stats().delivered != lai.stats().accepted:
        raise RuntimeError(f"not everything was delivered: {lai.stats()}")
    return measured


def _cost(side: Side, flush: Callable[[float], object], calls: int) -> Cost:
    cpu, wall = time.process_time(), time.perf_counter()
    side(calls)
    called = time.perf_counter()
    flush(_FLUSH_SECONDS)
    return Cost(
        wall_microseconds=(called - wall) / calls * 1e6,
        cpu_microseconds=(time.process_time() - cpu) / calls * 1e6,
    )


def _sides(producer: Producer, topic: str, session_id: str) -> dict[str, Side]:
    key, value = session_id.encode(), _value_like_the_sdks(session_id)

    def updates(calls: int) -> None:
        for _ in range(calls):
            lai.update_session(task=_TASK, session_eval=0.4, session_eval_reason=_REASON)

    def produces_with_callback(calls: int) -> None:
        for _ in range(calls):
            producer.produce(topic, value, key, -1, _on_delivery)

    def produces(calls: int) -> None:
        for _ in range(calls):
            producer.produce(topic, value, key)

    return {SDK: updates, CALLBACK: produces_with_callback, BARE: produces}


def _on_delivery(error: KafkaError | None, _: Message) -> None:
    if error is not None:
        raise RuntimeError(f"the broker did not take a record: {error.str()}")


def _value_like_the_sdks(session_id: str) -> bytes:
    """Return one update as the SDK encodes it, so of the same length."""
    return encode(
        {
            "session_id": session_id,
            "occurred_at": time.time_ns() // 1000,
            "producer_id": session_id,
            "sequence": 100_000,
            "lost_before": 0,
            "task": _TASK,
            "session_eval": 0.4,
            "session_eval_reason": _REASON,
        }
    )


@contextmanager
def _polled(configuration: lai.Configuration) -> Iterator[Producer]:
    """A producer with the SDK's settings, and a thread that polls it as the SDK's does."""
    producer = Producer(_publisher.client_settings(configuration))
    ended = threading.Event()

    def poll() -> None:
        while not ended.is_set():
            producer.poll(0.1)

    poller = threading.Thread(target=poll)
    poller.start()
    try:
        yield producer
    finally:
        ended.set()
        poller.join()
        producer.flush(_FLUSH_SECONDS)


def _report(rounds: Sequence[Round], calls: int) -> float:
    """Print one table of medians; return the greater ratio, which the goal is about."""
    print(
        f"{calls:,} calls a turn, {len(rounds)} rounds, medians; goal: ratio at most {GOAL_RATIO}"
    )
    print(f"{'':<20}{'wall µs/call':>14}{'CPU µs/call':>14}{'ratio to it':>14}")
    for name in rounds[0]:
        wall = statistics.median(each[name].wall_microseconds for each in rounds)
        cpu = statistics.median(each[name].cpu_microseconds for each in rounds)
        ratio = "" if name == SDK else f"{_ratio(rounds, name):.2f}"
        print(f"{name:<20}{wall:>14.2f}{cpu:>14.2f}{ratio:>14}")
    return max(_ratio(rounds, CALLBACK), _ratio(rounds, BARE))


def _ratio(rounds: Sequence[Round], yardstick: str) -> float:
    """Return the median over the rounds of the SDK's wall time by the yardstick's."""
    return statistics.median(
        each[SDK].wall_microseconds / each[yardstick].wall_microseconds for each in rounds
    )


def _figures(rounds: Sequence[Round], calls: int) -> dict[str, object]:
    return {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "calls": calls,
        "median_ratio": {name: _ratio(rounds, name) for name in (CALLBACK, BARE)},
        "rounds": [{name: asdict(cost) for name, cost in each.items()} for each in rounds],
    }


if __name__ == "__main__":
    sys.exit(main())
