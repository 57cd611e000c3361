"""The rivals by themselves: ``python -m benchmarks.rivals`` runs each once and checks its answer.

Starts a real broker and fills a topic. ``benchmarks.fold`` is what sets them beside the service.
"""

from __future__ import annotations

import argparse
import sys

from benchmarks.rivals import RIVALS, Rival
from benchmarks.rivals.running import answered
from benchmarks.workload import Workload, fill
from tests.services.kafka import KafkaBroker, kafka_available
from tests.services.topics import create_topic, unique_topic_name


def main() -> int:
    """Run the rivals; return 0 when all that can run here gave the right answer."""
    given = _arguments()
    missing = kafka_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    workload = Workload(
        events=given.events,
        sessions=given.sessions,
        live=given.live,
        seed=given.seed,
        reason_bytes=given.reason_bytes,
    )
    chosen = [each for each in RIVALS if not given.only or each.name in given.only]
    with KafkaBroker.start(heap_megabytes=1024) as broker:
        topic = unique_topic_name("rivals")
        create_topic(broker, topic, given.partitions)
        fill(broker.bootstrap_servers, topic, workload)
        print(f"{'':<14}{'records/s':>12}{'CPU µs/record':>16}{'peak MiB':>10}  answer")
        return sum(_wrong(each, broker.bootstrap_servers, topic, workload) for each in chosen)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rivals", description=__doc__)
    parser.add_argument("--events", type=int, default=300_000)
    parser.add_argument("--sessions", type=int, default=27_000)
    parser.add_argument("--live", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--reason-bytes", type=int, help="default: short sentences")
    parser.add_argument("--partitions", type=int, default=4)
    parser.add_argument("--only", nargs="+", choices=[each.name for each in RIVALS])
    return parser.parse_args()


def _wrong(rival: Rival, servers: str, topic: str, workload: Workload) -> int:
    """Run a rival and print a line; return 1 when its answer is wrong."""
    missing = rival.missing()
    if missing is not None:
        print(f"{rival.name:<14}not here: {missing}")
        return 0
    rival.prepare()
    found, right = answered(rival, servers, topic, workload)
    answer = "right" if right else "WRONG"
    print(
        f"{rival.name:<14}{found.records_per_second:>12,.0f}{found.cpu_microseconds:>16.2f}"
        f"{found.peak_mebibytes:>10.0f}  {answer}",
        flush=True,
    )
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
