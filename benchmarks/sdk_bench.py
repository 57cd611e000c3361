"""The services that the turns need, and the proof that what a turn sent has arrived."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from benchmarks import sdk_growth, sdk_turns
from benchmarks.peers import sink
from benchmarks.peers.clients import PEERS
from benchmarks.sdk_scenarios import Scenario
from benchmarks.sdk_sides import Place
from tests.services.kafka import KafkaBroker
from tests.services.topics import create_topic, end_offsets, unique_topic_name

_LOOPBACK = "127.0.0.1"
_ROOMY_KILOBYTES = 2_000_000
_LEAST_ARRIVED = 0.9
"""Of a peer's events: a datagram may be lost, and that is a property of the peer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Bench:
    """A broker, a sink for the peers, and an address at which nothing listens."""

    broker: KafkaBroker
    sink: sink.Sink
    nobody: str

    def measure(self, scenario: Scenario, side: str) -> sdk_turns.Outcome:
        """Run one turn, into a topic of its own.

        Raises:
            RuntimeError: when it fails, or not everything arrived.
        """
        topic = self._make_topic()
        turn = sdk_turns.Turn(
            side=side,
            place=self._place(scenario, topic),
            calls=scenario.calls_of(side),
            threads=scenario.threads,
            pace=scenario.pace,
            is_timed=scenario.is_timed,
        )
        with _environment() as environment:
            outcome = sdk_turns.run(turn, environment)
        self._check_arrived(side, topic, outcome.sent.events)
        return outcome

    def live(self, calls: int, *, is_traced: bool) -> sdk_growth.Growth:
        """Let a process live through many calls.

        Raises:
            RuntimeError: when it fails, or not everything arrived.
        """
        topic = self._make_topic()
        place = Place(bootstrap_servers=self.broker.bootstrap_servers, topic=topic)
        uptime = sdk_growth.Uptime(place=place, calls=calls, is_traced=is_traced)
        with _environment() as environment:
            growth = sdk_growth.run(uptime, environment)
        self._check_arrived("the long life", topic, growth.calls)
        return growth

    def _make_topic(self) -> str:
        topic = unique_topic_name("bench")
        create_topic(self.broker, topic)
        return topic

    def _place(self, scenario: Scenario, topic: str) -> Place:
        place = Place(
            bootstrap_servers=self.broker.bootstrap_servers if scenario.is_up else self.nobody,
            topic=topic,
            is_up=scenario.is_up,
            sink_port=self.sink.port,
        )
        if scenario.queue_events is None:
            return place
        return replace(place, queue_events=scenario.queue_events, queue_kilobytes=_ROOMY_KILOBYTES)

    def _check_arrived(self, side: str, topic: str, sent: int) -> None:
        if side in {peer.NAME for peer in PEERS}:
            arrived = self.sink.take(sent)
            is_right = _LEAST_ARRIVED * sent <= arrived <= sent
        else:
            arrived = sum(end_offsets(self.broker, topic).values())
            is_right = arrived == sent
        if not is_right:
            raise RuntimeError(f"{side} has sent {sent} events, and {arrived} have arrived")


@contextmanager
def started() -> Iterator[Bench]:
    """Run the services for the block."""
    with (
        KafkaBroker.start(heap_megabytes=1024) as broker,
        sink.running() as peers_sink,
        _nobody() as nobody,
    ):
        yield Bench(broker=broker, sink=peers_sink, nobody=nobody)


@contextmanager
def _nobody() -> Iterator[str]:
    """Hold a port for the block without listening, so that nobody else does."""
    with socket.socket() as held:
        held.bind((_LOOPBACK, 0))
        yield f"{_LOOPBACK}:{held.getsockname()[1]}"


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    """Yield what a turn sees: a spool of its own, and no proxy on the way to the sink."""
    with tempfile.TemporaryDirectory(prefix="sessionfold-bench-") as folder:
        yield os.environ | {
            "SESSIONFOLD_SPOOL_DIRECTORY": folder,
            "NO_PROXY": _LOOPBACK,
            "no_proxy": _LOOPBACK,
        }
