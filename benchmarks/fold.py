"""The consumer beside a bare ``consume()`` loop over the same topic, in one run.

``python -m benchmarks.fold`` starts a real broker, fills a topic, then reads it in turns: by a loop
that only consumes, and by ``sessionfold run --until-caught-up`` into a fresh SQLite file and into a
fresh database of a PostgreSQL server on the same machine. Each is a process of its own; its peak
memory and processor time are the operating system's, the server's own are not in them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.books import run
from benchmarks.workload import Workload, fill
from sessionfold_consumer.store import migrate_store, open_store
from tests.services.kafka import KafkaBroker, kafka_available
from tests.services.postgres import PostgresServer, postgres_available
from tests.services.postgres_databases import database_name
from tests.services.topics import create_topic, unique_topic_name

_MEBI = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One reading of the whole topic by one process."""

    records_per_second: float
    """From the program's own first contact to its end, without Python's start."""
    cpu_microseconds: float
    """Processor time per record, the whole process."""
    peak_mebibytes: float


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fold", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--sessions", type=int, default=90_000)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    missing = kafka_available() or postgres_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    workload = Workload(events=given.events, sessions=given.sessions)
    with (
        KafkaBroker.start(heap_megabytes=1024) as broker,
        PostgresServer.start(durable=True) as postgres,
    ):
        topic = unique_topic_name("bench")
        create_topic(broker, topic, given.partitions)
        size = fill(broker.bootstrap_servers, topic, workload)
        print(
            f"{given.events:,} events of {given.sessions:,} sessions, "
            f"{size / given.events:.0f} bytes each, {given.partitions} partitions"
        )
        rounds = [
            _round(broker.bootstrap_servers, topic, workload, postgres) for _ in range(given.rounds)
        ]
    figures = _report(rounds)
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def _round(
    servers: str, topic: str, workload: Workload, postgres: PostgresServer
) -> dict[str, Measured]:
    bare = [sys.executable, "-m", "benchmarks.bare_consume", servers, topic, str(workload.events)]
    measured = {"bare consume()": _measure(bare, workload.events)}
    with tempfile.TemporaryDirectory(prefix="sessionfold-bench-") as folder:
        stores = {
            "run, SQLite": f"sqlite:///{Path(folder, 'sessions.db')}",
            "run, PostgreSQL": postgres.create_database(),
        }
        for name, store in stores.items():
            migrate_store(store)
            fold = [sys.executable, "-m", "benchmarks.timed_run", servers, topic, store]
            measured[name] = _measure(fold, workload.events)
            _check(store, workload)
    postgres.drop_database(database_name(stores["run, PostgreSQL"]))
    return measured


def _measure(command: Sequence[str], records: int) -> Measured:
    """Run a program that prints the seconds it took."""
    books = run(command)
    return Measured(
        records_per_second=records / float(books.output.split()[-1]),
        cpu_microseconds=books.cpu_seconds / records * 1e6,
        peak_mebibytes=books.peak_bytes / _MEBI,
    )


def _check(url: str, workload: Workload) -> None:
    """A fast wrong answer is worth nothing."""
    with closing(open_store(url, read_only=True)) as store:
        counts = [state["event_count"] for state in store.states()]
    found = len(counts), sum(counts)
    if found != (workload.sessions, workload.events):
        raise RuntimeError(f"the store has (sessions, events) {found}, not the workload's")


def _report(rounds: Sequence[dict[str, Measured]]) -> dict[str, object]:
    """Print one table of medians, and each round's ratio; return all of it."""
    names = list(rounds[0])
    yardstick = names[0]
    print(f"{'':<18}{'records/s':>12}{'ratio':>8}{'CPU µs/record':>16}{'peak MiB':>10}")
    for name in names:
        rate = statistics.median(each[name].records_per_second for each in rounds)
        ratio = statistics.median(_ratio(each, name, yardstick) for each in rounds)
        cpu = statistics.median(each[name].cpu_microseconds for each in rounds)
        peak = max(each[name].peak_mebibytes for each in rounds)
        print(f"{name:<18}{rate:>12,.0f}{ratio:>8.2f}{cpu:>16.2f}{peak:>10.0f}")
    return {
        "measured_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "rounds": [{name: asdict(each[name]) for name in names} for each in rounds],
    }


def _ratio(measured: dict[str, Measured], name: str, yardstick: str) -> float:
    return measured[name].records_per_second / measured[yardstick].records_per_second


if __name__ == "__main__":
    sys.exit(main())
