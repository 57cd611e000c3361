"""End to end: from ``update_session`` returning to the row being visible.

``python -m benchmarks.latency`` starts a real broker and a PostgreSQL server. For each store it
runs ``sessionfold run`` as it is, lets a worker with the SDK's default settings make updates at an
even pace, and looks for some of them in the view that people query, every 2 ms. Broker, database,
worker, service and reader share the machine. It ends with 1 when a limit is missed, an update was
lost, or the store did not have all of them at the end.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from benchmarks.figures import save
from benchmarks.latency_reader import Arrival, follow, looking
from benchmarks.latency_service import ROOT, environment, serving, wait_until_stored
from benchmarks.latency_worker import Account, Plan
from sessionfold_schemas import decode
from tests.services.kafka import Broker, KafkaBroker, kafka_available
from tests.services.postgres import PostgresServer, postgres_available
from tests.services.postgres_databases import database_name
from tests.services.topics import create_topic, read_all, unique_topic_name

P50_MILLISECONDS = 50.0
P99_MILLISECONDS = 150.0

_WARM_UP_SECONDS = 3.0
_PARTITIONS = 4
_PROBES_A_SECOND = 100
_PROBE_SESSIONS = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Percentiles:
    """A distribution, in milliseconds."""

    p50: float
    p95: float
    p99: float
    most: float

    @classmethod
    def of(cls, milliseconds: Sequence[float]) -> Self:
        """Return that of at least one value; a percentile is the nearest rank's."""
        ordered = sorted(milliseconds)

        def at(share: float) -> float:
            return ordered[min(int(share * len(ordered)), len(ordered) - 1)]

        return cls(p50=at(0.5), p95=at(0.95), p99=at(0.99), most=at(1.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was seen of one store."""

    end_to_end: Percentiles
    to_log: Percentiles
    """The part until the broker appended the record, by its clock of whole milliseconds."""
    from_log: Percentiles
    """The rest."""
    probes: int
    account: Account
    missing: int
    """Events that the worker says were delivered, and the store did not have at the end."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing was lost."""
        return not self.account.lost and not self.missing


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000, help="updates a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="what is counted")
    parser.add_argument("--sessions", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=1, help="their median is judged")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    missing = kafka_available() or postgres_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    plan = plan_of(given.rate, given.seconds, given.sessions)
    with (
        KafkaBroker.start(heap_megabytes=1024) as broker,
        PostgresServer.start(durable=True) as postgres,
    ):
        rounds = [_round(broker, postgres, plan) for _ in range(given.rounds)]
    _report(plan, rounds)
    save(given.json, _figures(plan, rounds))
    return 0 if all(is_good([each[store] for each in rounds]) for store in rounds[0]) else 1


def plan_of(rate: int, seconds: float, sessions: int) -> Plan:
    """Return what a worker does for so many counted seconds."""
    return Plan(
        rate=rate,
        seconds=seconds,
        warm_up_seconds=_WARM_UP_SECONDS,
        sessions=sessions,
        probe_share=min(1.0, _PROBES_A_SECOND / rate),
        probe_sessions=_PROBE_SESSIONS,
    )


def measure(broker: Broker, store: str, plan: Plan, folder: Path) -> Measured:
    """Let a worker follow a plan beside a service with a fresh store, and watch its probes.

    Raises:
        RuntimeError: when service or worker fails, or a probe is never seen.
    """
    topic = unique_topic_name("latency")
    create_topic(broker, topic, _PARTITIONS)
    settings = environment(broker, topic, folder / "spool")
    with serving(store, folder / "service.log", settings), looking(store) as look:
        worker = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.latency_worker", json.dumps(asdict(plan))],
            cwd=ROOT,
            env=settings,
            stdout=subprocess.PIPE,
        )
        with worker:
            try:
                assert worker.stdout is not None
                arrivals, account = follow(worker.stdout, look)
            finally:
                worker.kill()
        events = wait_until_stored(broker, topic, store)
    missing = account.delivered - account.coalesced - events
    return _measured(_counted(arrivals, plan), _appended(broker, topic), account, missing)


def is_good(rounds: Sequence[Measured]) -> bool:
    """Say whether the limits are met by the medians of the rounds, and each of them is whole."""
    whole = [each.end_to_end for each in rounds]
    return (
        all(each.is_whole for each in rounds)
        and statistics.median(each.p50 for each in whole) <= P50_MILLISECONDS
        and statistics.median(each.p99 for each in whole) <= P99_MILLISECONDS
    )


def _round(broker: Broker, postgres: PostgresServer, plan: Plan) -> dict[str, Measured]:
    database = postgres.create_database()
    with tempfile.TemporaryDirectory(prefix="sessionfold-bench-") as folder:
        place = Path(folder)
        stores = {"SQLite": f"sqlite:///{place / 'sessions.db'}", "PostgreSQL": database}
        measured = {name: measure(broker, store, plan, place) for name, store in stores.items()}
    postgres.drop_database(database_name(database))
    return measured


def _counted(arrivals: Sequence[Arrival], plan: Plan) -> list[Arrival]:
    """Return those of updates that were made after the warm-up."""
    began = min(each.probe.returned_ns for each in arrivals) + plan.warm_up_seconds * 1e9
    return [each for each in arrivals if each.probe.returned_ns >= began]


def _appended(broker: Broker, topic: str) -> dict[int, float]:
    """Return when the broker appended each probe, by its value, in monotonic nanoseconds."""
    since_epoch_ns = time.time_ns() - time.monotonic_ns()
    appended: dict[int, float] = {}
    for record in read_all(broker, topic):
        _, event = decode(record.value or b"", key=record.key or b"")
        if event.get("task") is None and event.get("session_eval") is not None:
            # The middle of its millisecond.
            at_ns = record.timestamp_ms * 1_000_000 + 500_000 - since_epoch_ns
            appended[int(event["session_eval"])] = at_ns
    return appended


def _measured(
    arrivals: Sequence[Arrival], appended: dict[int, float], account: Account, missing: int
) -> Measured:
    to_log = [(appended[each.probe.value] - each.probe.returned_ns) / 1e6 for each in arrivals]
    from_log = [(each.seen_ns - appended[each.probe.value]) / 1e6 for each in arrivals]
    return Measured(
        end_to_end=Percentiles.of([each.milliseconds for each in arrivals]),
        to_log=Percentiles.of(to_log),
        from_log=Percentiles.of(from_log),
        probes=len(arrivals),
        account=account,
        missing=missing,
    )


def _report(plan: Plan, rounds: Sequence[dict[str, Measured]]) -> None:
    print(
        f"{plan.rate:,} updates/s over {plan.sessions:,} sessions, {_PARTITIONS} partitions; "
        "milliseconds from the return of update_session"
    )
    print(f"{'':<12}{'until visible':^36}{'until in the log':^22}")
    heads = ["p50", "p95", "p99", "most", "p50", "p99", "probes", "updates/s", "lost", "missing"]
    print(f"{'':<12}{''.join(f'{head:>10}' for head in heads)}")
    for store in rounds[0]:
        of_store = [measured[store] for measured in rounds]
        for each in of_store:
            print(f"{store:<12}{_row(each)}")
        word = "met" if is_good(of_store) else "MISSED"
        print(f"{'':<12}p50 <= {P50_MILLISECONDS:g}, p99 <= {P99_MILLISECONDS:g}: {word}")


def _row(measured: Measured) -> str:
    whole, to_log, account = measured.end_to_end, measured.to_log, measured.account
    times = [whole.p50, whole.p95, whole.p99, whole.most, to_log.p50, to_log.p99]
    counts = [measured.probes, round(account.rate), account.lost, measured.missing]
    return "".join(f"{each:>10.1f}" for each in times) + "".join(f"{n:>10,}" for n in counts)


def _figures(plan: Plan, rounds: Sequence[dict[str, Measured]]) -> dict[str, object]:
    return {
        "plan": asdict(plan),
        "rounds": [{store: asdict(each[store]) for store in each} for each in rounds],
    }


if __name__ == "__main__":
    sys.exit(main())
