"""How often what happens in one seed: each seed has a profile of its own.

With one set of rates for all, everything happens a little in every seed, and what needs several of
one kind in a row never does. So each seed leaves some troubles out and has others often.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

TROUBLES = ("crash", "freeze", "busy", "unreachable")
"""What can happen at a point of a step; see ``World.at``."""

EVENTS = (
    *("append", "rebalance", "expel", "kill", "stop", "start", "store_away", "broker_away"),
    "rebuild",
)
"""What can happen between steps; see ``Scheduler``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """The rates of one seed."""

    partitions: int
    batch_records: int
    processes: int
    """How many are started anew whenever fewer run."""
    records: int
    """How many the log has in the end."""
    bad: float
    """The part of them that is damaged."""
    marks: float
    """The part of the log's offsets that hold no record."""
    groups: int
    """Two groups on one store take the partitions from each other."""
    poison: bool
    """Whether the log holds a record that ends each process that decodes it."""
    breaker_run: int
    """``Limits.run``; 0 is none."""
    is_otherwise_safe: bool
    """Whether nothing but that record ends processes."""
    trouble: float
    """The chance of trouble at each point of a step."""
    troubles: dict[str, float]
    """The weight of each kind of trouble."""
    event: float
    """The chance that something happens between two steps."""
    events: dict[str, float]
    """The weight of each kind of event."""


def draw_profile(random: Random) -> Profile:
    """Draw the rates of one seed."""
    profile = _drawn(random)
    if profile.groups > 1:
        calm = replace(profile, processes=2, is_otherwise_safe=False, trouble=0.0, event=0.2)
        return replace(calm, events={"append": 1.0})
    if profile.is_otherwise_safe:
        events = {**profile.events, "kill": 0.0}
        return replace(profile, poison=True, breaker_run=0, trouble=0.0, events=events)
    return replace(profile, bad=0.5) if profile.breaker_run else profile


def _drawn(random: Random) -> Profile:
    return Profile(
        partitions=random.choice((1, 2, 2, 3)),
        batch_records=random.choice((1, 2, 3, 5, 5, 12)),
        processes=random.choice((1, 2, 2, 2, 3)),
        records=random.randint(8, 40),
        bad=random.choice((0.0, 0.1, 0.2)),
        marks=random.choice((0.0, 0.1)),
        groups=2 if random.random() < 0.05 else 1,
        poison=random.random() < 0.05,
        breaker_run=3 if random.random() < 0.05 else 0,
        is_otherwise_safe=random.random() < 0.03,
        trouble=random.choice((0.0, 0.02, 0.05, 0.05, 0.1)),
        troubles=_weights(random, TROUBLES),
        event=random.choice((0.2, 0.4, 0.4)),
        events=_weights(random, EVENTS) | {"append": 8.0},
    )


def _weights(random: Random, names: tuple[str, ...]) -> dict[str, float]:
    return {name: random.choice((0.0, 0.3, 1.0, 1.0, 3.0)) for name in names} | {names[0]: 1.0}
