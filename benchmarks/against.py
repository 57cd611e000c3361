"""The fold beside its rivals, on the same topic; each has to give the right answer.

``python -m benchmarks.against`` starts a real broker and fills a topic with the live workload. Then
a bare ``consume()`` loop, ``sessionfold run --until-caught-up`` into SQLite, by one process and by
two, and each rival (see ``benchmarks.rivals``) read it, each a program of its own. It ends with 1
when an answer is wrong, or when the service with both processors is not as many times as fast as is
promised.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.figures import save
from benchmarks.rivals import RIVALS, Rival
from benchmarks.rivals.running import answered
from benchmarks.scenarios import RIVALS_SCENARIO
from benchmarks.sides import BARE, Measured, Sides
from benchmarks.workload import Workload, fill
from tests.services.kafka import Broker, KafkaBroker, kafka_available
from tests.services.topics import create_topic, unique_topic_name

OURS = "sessionfold, SQLite"
OURS_BY_TWO = "sessionfold, by two"

PROMISED = {"plain": 8.0, "quix": 12.0, "streams-1": 3.0, "streams-2": 2.0}
"""How many times as fast as a rival two processes have to be; of others nothing is promised."""
GOALS = {"java": 1.0}
"""The same, wished for: to miss it is no failure."""

_ROUNDS_OF_THE_FAST = 3


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.against", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=[each.name for each in RIVALS])
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    missing = kafka_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    rivals = _present([each for each in RIVALS if not given.only or each.name in given.only])
    with KafkaBroker.start(heap_megabytes=1024) as broker:
        found = _measure(broker, rivals)
    save(given.json, {name: [asdict(each) for each in runs] for name, runs in found.items()})
    return _report(found)


def _present(rivals: Sequence[Rival]) -> list[Rival]:
    """Return those that can run here, ready to; say what the others lack."""
    present = []
    for rival in rivals:
        missing = rival.missing()
        if missing is None:
            rival.prepare()
            present.append(rival)
        else:
            print(f"{rival.name} is left out: {missing}")
    return present


def _measure(broker: Broker, rivals: Sequence[Rival]) -> dict[str, list[Measured]]:
    servers = broker.bootstrap_servers
    topic, workload = unique_topic_name("rivals"), RIVALS_SCENARIO.workload
    create_topic(broker, topic, RIVALS_SCENARIO.partitions)
    fill(servers, topic, workload)
    print(f"{workload.events:,} events of {workload.sessions:,} sessions; all answers are checked")
    sides = Sides(servers, topic, RIVALS_SCENARIO, postgres=None)
    names = (BARE, OURS, OURS_BY_TWO, *(each.name for each in rivals))
    found: dict[str, list[Measured]] = {name: [] for name in names}
    for number in range(_ROUNDS_OF_THE_FAST):
        found[BARE].append(sides.bare())
        found[OURS].append(sides.fold("SQLite"))
        found[OURS_BY_TWO].append(sides.fold("SQLite", processes=2))
        for rival in rivals:
            if number == 0 or rival.name == "java":
                found[rival.name].append(_run(rival, servers, topic, workload))
    return found


def _run(rival: Rival, servers: str, topic: str, workload: Workload) -> Measured:
    found, is_right = answered(rival, servers, topic, workload)
    if not is_right:
        raise RuntimeError(f"{rival.name} gave a wrong answer")
    return found


def _report(found: dict[str, list[Measured]]) -> int:
    """Print one table; return 1 when the service is not as fast as promised."""
    rates = {
        name: statistics.median(each.records_per_second for each in runs)
        for name, runs in found.items()
    }
    print(
        f"{'':<20}{'events/s':>12}{'ratio':>8}{'CPU µs':>9}{'peak MiB':>10}"
        f"{'we are':>10}{'by two':>10}"
    )
    slower = []
    for name, runs in found.items():
        cpu = statistics.median(each.cpu_microseconds for each in runs)
        peak = max(each.peak_mebibytes for each in runs)
        by_one, by_two = (rates[ours] / rates[name] for ours in (OURS, OURS_BY_TWO))
        promised = PROMISED.get(name)
        is_rival = name not in (BARE, OURS, OURS_BY_TWO)
        told = f"{by_one:>9.1f}x{by_two:>9.1f}x" if is_rival else ""
        told += "" if promised is None else f"  (at least {promised:.0f}x)"
        told += f"  (goal {GOALS[name]:.0f}x)" if name in GOALS else ""
        print(
            f"{name:<20}{rates[name]:>12,.0f}{rates[name] / rates[BARE]:>8.2f}{cpu:>9.2f}"
            f"{peak:>10.0f}{told}"
        )
        if promised is not None and by_two < promised:
            slower.append(f"{by_two:.1f} times {name}, promised {promised:.0f}")
    for words in slower:
        print(f"missed: {words}", file=sys.stderr)
    return 1 if slower else 0


if __name__ == "__main__":
    sys.exit(main())
