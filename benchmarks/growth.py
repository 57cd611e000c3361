"""Whether an event costs the same in a small store and in a large one, and memory stays flat.

``python -m benchmarks.growth`` starts a real broker, fills a topic of each size with the live
workload, and folds each into a fresh SQLite file. It ends with 1 when an event of the largest costs
more than ``MOST_GROWTH`` times one of the smallest, or memory grows with the topic.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.figures import save
from benchmarks.fold import MOST_MEBIBYTES
from benchmarks.scenarios import Scenario
from benchmarks.sides import Measured, Sides
from benchmarks.workload import Workload, fill
from tests.services.kafka import Broker, KafkaBroker, kafka_available
from tests.services.topics import create_topic, unique_topic_name

SIZES = ((1_000_000, 90_000), (10_000_000, 900_000), (20_000_000, 1_800_000))
"""Events, and the sessions that they belong to."""

MOST_GROWTH = 1.3
"""Of the processor time of one event, from the first to the last size."""


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    missing = kafka_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    print(
        f"{'events':>12}{'sessions':>12}{'events/s':>12}{'ratio':>8}{'CPU µs':>9}{'peak MiB':>10}"
    )
    with KafkaBroker.start(heap_megabytes=1024) as broker:
        found = [_measure(broker, events, sessions) for events, sessions in SIZES]
    growth = found[-1].cpu_microseconds / found[0].cpu_microseconds
    peak = max(each.peak_mebibytes for each in found)
    words = f"an event of the largest costs {growth:.2f} times one of the smallest"
    print(f"{words}; at most {MOST_GROWTH}")
    print(f"memory: {peak:.0f} MiB at most, {MOST_MEBIBYTES:.0f} are allowed")
    save(given.json, _figures(found))
    return 0 if growth <= MOST_GROWTH and peak <= MOST_MEBIBYTES else 1


def _measure(broker: Broker, events: int, sessions: int) -> Measured:
    topic, workload = unique_topic_name("growth"), Workload(events=events, sessions=sessions)
    create_topic(broker, topic, 4)
    fill(broker.bootstrap_servers, topic, workload)
    scenario = Scenario(name="growth", about="", workload=workload)
    sides = Sides(broker.bootstrap_servers, topic, scenario, postgres=None)
    bare, found = sides.bare(), sides.fold("SQLite")
    ratio = found.records_per_second / bare.records_per_second
    print(
        f"{events:>12,}{sessions:>12,}{found.records_per_second:>12,.0f}{ratio:>8.2f}"
        f"{found.cpu_microseconds:>9.2f}{found.peak_mebibytes:>10.0f}",
        flush=True,
    )
    return found


def _figures(found: list[Measured]) -> dict[str, object]:
    return {
        "sizes": [
            {"events": events, "sessions": sessions, **asdict(each)}
            for (events, sessions), each in zip(SIZES, found, strict=True)
        ],
    }


if __name__ == "__main__":
    sys.exit(main())
