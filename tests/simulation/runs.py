"""Many seeds in a row, and one seed in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

from tests import faults

from .scheduler import Simulation
from .store import SimulatedStore
from .world import WrongError

STORE_POINTS = tuple(
    f"{call} {when}"
    for call, whens in (
        ("commit", ("before", "rows", "after")),
        ("attempt", ("before", "after")),
        ("claim", ("before", "after")),
    )
    for when in whens
)

SHADOW_POINTS = tuple(
    f"{call} {when}"
    for call in ("begin", "claim", "attempt", "commit", "empty", "hold")
    for when in (("before", "end", "after") if call == "hold" else ("before", "after"))
)

ALL_FAULTS = faults.FAULTS | faults.REBUILD_FAULTS

SOMETIMES = (
    *("commit", "rebalance", "revoked", "expelled", "expelled while frozen", "stopped"),
    *("fence", "zombie refused", "heard that it was expelled", "ended by FencedError"),
    *("taken with a batch in hand", "taken with a lost answer", "frozen with a lost answer"),
    *("dead letter", "fatal", "ended by BreakerOpenError", "store away", "broker away"),
    *(f"crash {point}" for point in (*STORE_POINTS, "fetch", "confirm", "acknowledge", "decode")),
    "crash between steps",
    *("rebuild begins", "rebuild goes on", "rebuild stopped", "switched", "thrown away"),
    *("waits for who holds it", "undo ended by NotSwitchedError"),
    *(f"crash shadow {point}" for point in SHADOW_POINTS),
    *(f"busy shadow {point}" for point in SHADOW_POINTS if point != "hold end"),
    *(f"busy {point}" for point in (*STORE_POINTS, "positions")),
    *(f"freeze {point}" for point in STORE_POINTS if point != "commit rows"),
    *(f"unreachable {point}" for point in ("fetch", "idle", "start", "confirm", "watermarks")),
)
"""What must have happened in a long run, or it has shown nothing."""


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What a run of seeds has come to; it ends at the first that fails."""

    seeds: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    failed: int | None = None
    error: WrongError | None = None


def run_seeds(seeds: Iterable[int], fault: str | None = None) -> Outcome:
    """Run seeds, with a fault of ``tests.faults`` planted or none, until one fails."""
    outcome = Outcome()
    with planted(fault):
        for seed in seeds:
            simulation = Simulation(seed)
            outcome.seeds += 1
            try:
                simulation.run()
            except WrongError as error:
                outcome.failed, outcome.error = seed, error
                break
            finally:
                outcome.happened += simulation.world.happened
    return outcome


def trace(seed: int, fault: str | None = None) -> list[str]:
    """Run one seed and return what happened, line by line; what was found is the last one."""
    simulation = Simulation(seed)
    result = "clean"
    with planted(fault):
        try:
            simulation.run()
        except WrongError as error:
            result = str(error)
    lines = [f"{now:8.2f}  {who:4} {what}" for now, who, what in simulation.world.trace]
    return [f"seed {seed}: {simulation.world.profile}", *lines, result]


def planted(fault: str | None) -> AbstractContextManager[None]:
    """Plant a fault in the service and in the simulated store."""
    return nullcontext() if fault is None else ALL_FAULTS[fault](SimulatedStore)
