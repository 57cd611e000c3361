"""In which situations the sides are compared."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field, replace

from benchmarks.peers.clients import MOST_CALLS, PEERS
from benchmarks.sdk_sides import CALLBACK, NOTHING, PRODUCE, SDK, SDK_FULL
from benchmarks.sdk_timing import Pace

UNTIMED, SINGLE, THREADS = "all-calls", "one-thread", "threads"
STEADY, STEADY_THREADS, BURSTS = "steady", "steady-threads", "bursts"
DOWN, FULL = "down", "down-full"

THREAD_COUNT = 8
STEADY_RATE = 5_000
BURST = 1_000
FULL_QUEUE = 10_000

_KAFKA = (PRODUCE, CALLBACK, SDK)
_PEERS = tuple(peer.NAME for peer in PEERS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """One situation, and who is measured in it."""

    name: str
    title: str
    sides: tuple[str, ...]
    calls: int
    threads: int = 1
    pace: Pace = field(default_factory=Pace)
    is_timed: bool = True
    """Whether single calls are timed."""
    is_up: bool = True
    """Whether a broker is there."""
    queue_events: int | None = None
    """How many events may wait; None is the default setting."""

    def calls_of(self, side: str) -> int:
        """Return how many calls a side makes; a peer's fit into its queue."""
        return min(self.calls, MOST_CALLS) if side in _PEERS else self.calls

    def with_peers(self, installed: Container[str]) -> Scenario:
        """Return it without the peers that are not installed."""
        there = tuple(side for side in self.sides if side not in _PEERS or side in installed)
        return replace(self, sides=there)


def scenarios(calls: int) -> list[Scenario]:
    """Return all situations.

    Args:
        calls: how many a side makes in one thread without pauses; several threads make four times
            as many, so that they meet, and where a pace is kept it is a tenth.
    """
    roomy = 2 * calls
    paced = max(BURST, calls // 10)
    return [
        Scenario(
            name=UNTIMED, title="one thread, without pauses, all calls together",
            sides=(*_KAFKA, *_PEERS), calls=calls, is_timed=False, queue_events=roomy,
        ),
        Scenario(
            name=SINGLE, title="one thread, without pauses",
            sides=(NOTHING, *_KAFKA, *_PEERS), calls=calls, queue_events=roomy,
        ),
        Scenario(
            name=THREADS, title=f"{THREAD_COUNT} threads, without pauses",
            sides=(NOTHING, *_KAFKA, *_PEERS), calls=4 * calls, threads=THREAD_COUNT,
            queue_events=8 * calls,
        ),
        Scenario(
            name=DOWN, title="one thread, without pauses, nothing listens at the broker's address",
            sides=(NOTHING, *_KAFKA), calls=calls, is_up=False, queue_events=roomy,
        ),
        Scenario(
            name=FULL, title=f"the same with many sessions and a queue of {FULL_QUEUE:,}",
            sides=(NOTHING, SDK_FULL), calls=calls, is_up=False, queue_events=FULL_QUEUE,
        ),
        Scenario(
            name=STEADY, title=f"one thread, {STEADY_RATE:,} calls a second",
            sides=(NOTHING, *_KAFKA, *_PEERS), calls=paced, pace=Pace(burst=1, rate=STEADY_RATE),
        ),
        Scenario(
            name=BURSTS, title=f"one thread, {STEADY_RATE // BURST} bursts of {BURST:,} a second",
            sides=(NOTHING, *_KAFKA, *_PEERS), calls=paced,
            pace=Pace(burst=BURST, rate=STEADY_RATE),
        ),
        Scenario(
            name=STEADY_THREADS,
            title=f"{THREAD_COUNT} threads, together {STEADY_RATE:,} calls a second",
            sides=(NOTHING, *_KAFKA, *_PEERS), calls=paced, threads=THREAD_COUNT,
            pace=Pace(burst=1, rate=STEADY_RATE / THREAD_COUNT),
        ),
    ]  # fmt: skip
