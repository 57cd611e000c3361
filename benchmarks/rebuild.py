"""A rebuild, comparison and switch included, beside a loop that only consumes the topic.

``python -m benchmarks.rebuild`` starts a real broker and a real PostgreSQL, fills a topic, folds it
into a store of each kind, and rebuilds each of them, in turns with a bare ``consume()`` loop. It
ends with 1 when a rebuild takes longer than promised, or more memory.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

from benchmarks.figures import save
from benchmarks.fold import scaled
from benchmarks.scenarios import SCENARIOS, Store
from benchmarks.sides import BARE, Measured, Sides
from benchmarks.workload import fill
from tests.services.kafka import KafkaBroker, kafka_available
from tests.services.postgres import PostgresServer, postgres_available
from tests.services.topics import create_topic, unique_topic_name

MOST_TIMES: Mapping[Store, float] = {"SQLite": 3.0, "PostgreSQL": 5.0}
"""The longest time of a rebuild, as a multiple of that of the bare loop in the same round."""
GOAL_TIMES: Mapping[Store, float] = {"SQLite": 2.2, "PostgreSQL": 3.0}
MOST_MEBIBYTES = 400 * 1_000_000 / 2**20
"""400 MB."""

Rounds = Sequence[dict[str, Measured]]


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rebuild", description=__doc__)
    parser.add_argument("--events", type=int, help="another number of events, as many a session")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2, help="by how many it is folded")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    missing = kafka_available() or postgres_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    scenario = scaled(SCENARIOS[0], given.events)
    with (
        KafkaBroker.start(heap_megabytes=1024) as broker,
        PostgresServer.start(durable=True) as postgres,
    ):
        topic = unique_topic_name("bench")
        create_topic(broker, topic, scenario.partitions)
        fill(broker.bootstrap_servers, topic, scenario.workload)
        sides = Sides(broker.bootstrap_servers, topic, scenario, postgres)
        found = [
            {
                BARE: sides.bare(),
                **{kind: sides.rebuild(kind, given.processes) for kind in MOST_TIMES},
            }
            for _ in range(given.rounds)
        ]
    events, sessions = scenario.workload.events, scenario.workload.sessions
    print(f"rebuild of {events:,} events of {sessions:,} sessions, compared and switched")
    save(given.json, {"events": events, "rounds": [_plain(each) for each in found]})
    return _report(found)


def _report(rounds: Rounds) -> int:
    """Print one table of medians; return 1 when a promise was missed, and say which."""
    broken = []
    print(f"{'':<18}{'events/s':>12}{'times':>8}{'CPU µs':>9}{'peak MiB':>10}  rounds")
    for name in rounds[0]:
        each = [one[name] for one in rounds]
        times = [one[BARE].records_per_second / one[name].records_per_second for one in rounds]
        peak = max(one.peak_mebibytes for one in each)
        print(
            f"{name:<18}{median(one.records_per_second for one in each):>12,.0f}"
            f"{median(times):>8.2f}{median(one.cpu_microseconds for one in each):>9.2f}"
            f"{peak:>10.0f}  {' '.join(f'{one:.2f}' for one in times)}"
        )
        if name == BARE:
            continue
        kind: Store = "SQLite" if name == "SQLite" else "PostgreSQL"
        print(f"{'':<18}(at most {MOST_TIMES[kind]}, goal {GOAL_TIMES[kind]})")
        if median(times) > MOST_TIMES[kind]:
            broken.append(f"{name}: {median(times):.2f} times, at most {MOST_TIMES[kind]}")
        if peak > MOST_MEBIBYTES:
            broken.append(f"{name}: {peak:.0f} MiB, at most {MOST_MEBIBYTES:.0f}")
    for words in broken:
        print(f"missed: {words}", file=sys.stderr)
    return 1 if broken else 0


def _plain(one: Mapping[str, Measured]) -> dict[str, dict[str, float]]:
    return {name: asdict(each) for name, each in one.items()}


if __name__ == "__main__":
    sys.exit(main())
