"""One turn of one side, in a process of its own: what it is told, and what it says of it.

``python -m benchmarks.sdk_turns JSON`` is started by ``benchmarks.sdk_calls``. That way no side
meets another's threads, caches or garbage, and the processor time is the side's alone.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from benchmarks.child import ask
from benchmarks.peers.clients import DogStatsd, PostHog, Segment
from benchmarks.sdk_sides import (
    CALLBACK,
    NOTHING,
    PRODUCE,
    SDK,
    SDK_FULL,
    Nothing,
    Place,
    Produce,
    ProduceWithCallback,
    Sent,
    Side,
    UpdateManySessions,
    UpdateSession,
)
from benchmarks.sdk_timing import Distribution, Pace, Times, repeated, timed

_WARM_UP = 10

SIDES: dict[str, Callable[[Place], Side]] = {
    NOTHING: Nothing,
    PRODUCE: Produce,
    CALLBACK: ProduceWithCallback,
    SDK: UpdateSession,
    SDK_FULL: UpdateManySessions,
    DogStatsd.NAME: DogStatsd,
    Segment.NAME: Segment,
    PostHog.NAME: PostHog,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What one process does: a tenth of the calls to warm up, then all of them."""

    side: str
    place: Place
    calls: int
    threads: int = 1
    pace: Pace = field(default_factory=Pace)
    is_timed: bool = True
    """Whether each call is timed, or only all of them together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one turn took."""

    times: Distribution | None
    """Of single calls, when they were timed."""
    wall_microseconds: float
    """From the first call to the last one's return, by the number of calls."""
    cpu_microseconds: float
    """Processor time of the whole process by the number of calls, delivery included."""
    sent: Sent
    """What the side says of all its events, those of the warm-up included."""


def run(turn: Turn, environment: dict[str, str]) -> Outcome:
    """Run a turn in a new process.

    Raises:
        RuntimeError: when it fails; its standard error has been passed on.
    """
    told = ask("benchmarks.sdk_turns", asdict(turn), environment)
    times, sent = told.pop("times"), Sent(**told.pop("sent"))
    return Outcome(times=Distribution(**times) if times else None, sent=sent, **told)


def main() -> None:
    """Run the turn that the argument describes; print the outcome as JSON."""
    told = json.loads(sys.argv[1])
    place, pace = Place(**told.pop("place")), Pace(**told.pop("pace"))
    turn = Turn(place=place, pace=pace, **told)
    print(json.dumps(asdict(_outcome(turn, SIDES[turn.side](place)))))


def _outcome(turn: Turn, side: Side) -> Outcome:
    warm_up = _rounded(turn.calls // _WARM_UP, turn.threads)
    calls = _rounded(turn.calls, turn.threads)
    timed(side.make_call, warm_up, turn.threads, turn.pace)
    side.flush()
    cpu, wall = time.process_time(), time.perf_counter()
    times = _make_calls(turn, side, calls)
    called = time.perf_counter()
    side.flush()
    cpu = time.process_time() - cpu
    return Outcome(
        times=Distribution.of(times) if times else None,
        wall_microseconds=(called - wall) / calls * 1e6,
        cpu_microseconds=cpu / calls * 1e6,
        sent=side.close(warm_up + calls),
    )


def _make_calls(turn: Turn, side: Side, calls: int) -> Times:
    if turn.is_timed:
        return timed(side.make_call, calls, turn.threads, turn.pace)
    repeated(side.make_call(), calls)
    return []


def _rounded(calls: int, threads: int) -> int:
    """Return how many calls that is when each thread makes the same number, at least one."""
    return max(1, calls // threads) * threads


if __name__ == "__main__":
    main()
