"""One process and two, each with half of the partitions, over one PostgreSQL.

``python -m benchmarks.fleet`` starts a real broker and a real PostgreSQL and fills a topic; then
one ``sessionfold run`` folds it, and two of them in one group do, each time into a fresh store. The
time is that from the first commit of any of them to the last one of all.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from benchmarks.figures import save
from benchmarks.workload import Workload, fill
from sessionfold_consumer.store import migrate_store, open_store
from tests.services.kafka import KafkaBroker, kafka_available
from tests.services.postgres import PostgresServer, database_name, postgres_available
from tests.services.topics import create_topic, unique_topic_name

_PATIENCE_SECONDS = 300.0
_LOOK_SECONDS = 0.02
_SESSIONFOLD = str(Path(sys.executable).with_name("sessionfold"))


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fleet", description=__doc__)
    parser.add_argument("--events", type=int, default=3_000_000)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    missing = kafka_available() or postgres_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    workload = Workload(events=given.events, sessions=given.events // 12)
    with (
        KafkaBroker.start(heap_megabytes=1024) as broker,
        PostgresServer.start(durable=True) as postgres,
    ):
        topic = unique_topic_name("fleet")
        create_topic(broker, topic, 4)
        fill(broker.bootstrap_servers, topic, workload)
        rates = {}
        for processes in (1, 2):
            url = postgres.create_database()
            seconds = _fold(broker.bootstrap_servers, topic, url, processes, given.events)
            postgres.drop_database(database_name(url))
            rates[processes] = given.events / seconds
            print(f"{processes} of them: {rates[processes]:,.0f} events/s", flush=True)
    cores = os.cpu_count()
    print(f"two are {rates[2] / rates[1]:.2f} times one, on {cores} cores with broker and database")
    save(given.json, {"cores": cores, "events_per_second": rates})
    return 0


def _fold(servers: str, topic: str, url: str, processes: int, events: int) -> float:
    """Return the seconds from the first commit to the last."""
    migrate_store(url)
    with ExitStack() as running, closing(open_store(url, read_only=True)) as store:
        for _ in range(processes):
            running.enter_context(_service(servers, topic, url))
        deadline, began = time.monotonic() + _PATIENCE_SECONDS, None
        while time.monotonic() < deadline:
            folded = sum(each.next_offset for each in store.positions().values())
            if began is None and folded:
                began = time.monotonic()
            if folded >= events and began is not None:
                return time.monotonic() - began
            time.sleep(_LOOK_SECONDS)
    raise RuntimeError(f"{processes} processes did not fold {events} events in time")


@contextmanager
def _service(servers: str, topic: str, url: str) -> Iterator[None]:
    command = [_SESSIONFOLD, "run", "--bootstrap-servers", servers, "--topic", topic]
    command += ["--store", url]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    sys.exit(main())
