"""The fold of a topic, beside a loop that only consumes it, on several workloads.

``python -m benchmarks.fold`` starts a real broker and a real PostgreSQL and fills a topic with each
workload; then a bare ``consume()`` loop and ``sessionfold run --until-caught-up`` take turns at
reading it, the service into a fresh store of each kind, and by two processes into SQLite. Each is
a program of its own. It ends with 1 when one process misses a promised rate, or a program the bound
of memory.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

from benchmarks.figures import save
from benchmarks.scenarios import SCENARIOS, Scenario, Store
from benchmarks.sides import BARE, BY_TWO, Measured, Sides
from benchmarks.workload import fill
from tests.services.kafka import Broker, KafkaBroker, kafka_available
from tests.services.postgres import PostgresServer, postgres_available
from tests.services.topics import create_topic, unique_topic_name

MOST_MEBIBYTES = 350 * 1_000_000 / 2**20
"""350 MB: what the service may take in any workload, at any lag."""

Rounds = Sequence[dict[str, Measured]]


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fold", description=__doc__)
    names = [each.name for each in SCENARIOS]
    parser.add_argument("--scenario", choices=names, action="append", help="by default all")
    parser.add_argument("--events", type=int, help="another number of events, as many a session")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    missing = kafka_available() or postgres_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    chosen = [each for each in SCENARIOS if each.name in (given.scenario or names)]
    with (
        KafkaBroker.start(heap_megabytes=1024) as broker,
        PostgresServer.start(durable=True) as postgres,
    ):
        found = {
            each.name: _measure(broker, postgres, scaled(each, given.events), given.rounds)
            for each in chosen
        }
    save(given.json, _figures(found))
    return max(_missed(each, found[each.name]) for each in chosen)


def scaled(scenario: Scenario, events: int | None) -> Scenario:
    """Return the scenario with another number of events, and as many of them a session."""
    if events is None:
        return scenario
    workload = scenario.workload
    sessions = max(1, workload.sessions * events // workload.events)
    return replace(scenario, workload=replace(workload, events=events, sessions=sessions))


def _measure(broker: Broker, postgres: PostgresServer, scenario: Scenario, rounds: int) -> Rounds:
    topic, workload = unique_topic_name("bench"), scenario.workload
    create_topic(broker, topic, scenario.partitions)
    size = fill(broker.bootstrap_servers, topic, workload)
    print(
        f"{scenario.name}: {scenario.about}; {workload.events:,} events of {workload.sessions:,} "
        f"sessions, {size / workload.events:.0f} bytes each, {scenario.partitions} partitions"
    )
    sides = Sides(broker.bootstrap_servers, topic, scenario, postgres)
    found = [sides.round() for _ in range(rounds)]
    report(scenario, found)
    return found


def report(scenario: Scenario, rounds: Rounds) -> None:
    """Print one table of medians; ratios are those within each round."""
    print(f"{'':<18}{'events/s':>12}{'ratio':>8}{'CPU µs':>9}{'peak MiB':>10}  rounds")
    for name in rounds[0]:
        rate = statistics.median(each[name].records_per_second for each in rounds)
        cpu = statistics.median(each[name].cpu_microseconds for each in rounds)
        peak = max(each[name].peak_mebibytes for each in rounds)
        each_round = " ".join(f"{_ratio(each, name):.2f}" for each in rounds)
        print(
            f"{name:<18}{rate:>12,.0f}{ratio(rounds, name):>8.2f}{cpu:>9.2f}{peak:>10.0f}  "
            f"{each_round}{_promise(scenario, name)}"
        )
    print(flush=True)


def ratio(rounds: Rounds, name: str) -> float:
    """Return the median of a side's rate as a part of the bare loop's."""
    return statistics.median(_ratio(each, name) for each in rounds)


def _ratio(one: dict[str, Measured], name: str) -> float:
    return one[name].records_per_second / one[BARE].records_per_second


def _promise(scenario: Scenario, name: str) -> str:
    kind: Store = "SQLite" if name in ("SQLite", BY_TWO) else "PostgreSQL"
    if name == BARE or kind not in scenario.floors:
        return ""
    return f"  (floor {scenario.floors[kind]}, goal {scenario.goals[kind]})"


def _missed(scenario: Scenario, rounds: Rounds) -> int:
    """Return 1 when a promise was broken, and say which."""
    broken = [
        f"{scenario.name}, {kind}: {ratio(rounds, kind):.2f} of the bare loop, floor {floor}"
        for kind, floor in scenario.floors.items()
        if ratio(rounds, kind) < floor
    ]
    broken += [
        f"{scenario.name}, {name}: {each.peak_mebibytes:.0f} MiB, at most {MOST_MEBIBYTES:.0f}"
        for one in rounds
        for name, each in one.items()
        if name != BARE and each.peak_mebibytes > MOST_MEBIBYTES
    ]
    for words in broken:
        print(f"missed: {words}", file=sys.stderr)
    return 1 if broken else 0


def _figures(found: dict[str, Rounds]) -> dict[str, object]:
    return {
        "scenarios": {
            scenario: [{name: asdict(each) for name, each in one.items()} for one in rounds]
            for scenario, rounds in found.items()
        },
    }


if __name__ == "__main__":
    sys.exit(main())
