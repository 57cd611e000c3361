"""The workloads that the fold is measured on, and what it has to reach on each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from benchmarks.workload import Workload

Store = Literal["SQLite", "PostgreSQL"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """One topic, and the rates that are promised on it."""

    name: str
    about: str
    workload: Workload
    partitions: int = 4
    floors: Mapping[Store, float] = field(default_factory=dict)
    """For a store, the least part of the rate of a bare ``consume()`` that is allowed."""
    goals: Mapping[Store, float] = field(default_factory=dict)


SCENARIOS = (
    Scenario(
        name="live",
        about="2,000 sessions open at a time, 12 events each",
        workload=Workload(events=5_000_000, sessions=418_000),
        floors={"SQLite": 0.33, "PostgreSQL": 0.2},
        goals={"SQLite": 0.45, "PostgreSQL": 0.35},
    ),
    Scenario(
        name="random IDs",
        about="live, session IDs of version 4: in no order",
        workload=Workload(events=2_000_000, sessions=167_000, random_ids=True),
    ),
    Scenario(
        name="wide",
        about="every event is another session's",
        workload=Workload(events=1_000_000, sessions=1_000_000),
        floors={"SQLite": 0.08},
        goals={"SQLite": 0.15},
    ),
    Scenario(
        name="hot",
        about="all events are one session's",
        workload=Workload(events=1_000_000, sessions=1, live=1),
    ),
    Scenario(
        name="long text",
        about="live, each reason 4 KiB long",
        workload=Workload(events=100_000, sessions=9_000, reason_bytes=4_096),
    ),
    Scenario(
        name="48 partitions",
        about="live, over 48 partitions",
        workload=Workload(events=2_000_000, sessions=167_000),
        partitions=48,
    ),
)

RIVALS_SCENARIO = Scenario(
    name="rivals",
    about="live, small enough for those that are slow",
    workload=Workload(events=3_000_000, sessions=251_000),
)
