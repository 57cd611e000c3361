"""What is measured side by side: programs that read one topic to its end, each a process."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.books import run
from benchmarks.scenarios import Scenario, Store
from sessionfold_consumer.store import migrate_store, open_store
from tests.services.postgres import PostgresServer, database_name

BARE = "bare consume()"
BY_TWO = "SQLite, by two"
"""Folded by two processes, each with half of the partitions."""

_MEBI = 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One read of a whole topic by one program."""

    records_per_second: float
    """From the program's own first contact to its end, without its language's start."""
    cpu_microseconds: float
    """Processor time per record, all of its processes; for PostgreSQL without the server."""
    peak_mebibytes: float


def measured(command: Sequence[str], records: int) -> Measured:
    """Run a program whose last line is the seconds it took."""
    books = run(command)
    return Measured(
        records_per_second=records / float(books.output.split()[-1]),
        cpu_microseconds=books.cpu_seconds / records * 1e6,
        peak_mebibytes=books.peak_bytes / _MEBI,
    )


class Sides:
    """The yardstick and the service, on one topic.

    Args:
        bootstrap_servers: the broker that has it.
        topic: filled with the scenario's workload.
        postgres: None leaves that store out.
    """

    def __init__(
        self,
        bootstrap_servers: str,
        topic: str,
        scenario: Scenario,
        postgres: PostgresServer | None,
    ) -> None:
        self.servers, self.topic, self.scenario = bootstrap_servers, topic, scenario
        self._postgres = postgres

    def bare(self) -> Measured:
        """Consume and do nothing."""
        records = self.scenario.workload.events
        return measured(self._program("bare_consume", str(records)), records)

    def fold(self, kind: Store, processes: int = 1) -> Measured:
        """Fold into a fresh store, by so many processes.

        Raises:
            RuntimeError: when the store has not all of it: a fast wrong answer is worth nothing.
        """
        workload = self.scenario.workload
        with self._fresh_store(kind) as url:
            migrate_store(url)
            found = measured(self._program("timed_run", url, str(processes)), workload.events)
            with closing(open_store(url, read_only=True)) as store:
                counts = [state["event_count"] for state in store.states()]
        if (len(counts), sum(counts)) != (workload.sessions, workload.events):
            raise RuntimeError(f"{len(counts)} sessions and {sum(counts)} events are in the store")
        return found

    def rebuild(self, kind: Store, processes: int) -> Measured:
        """Fold into a fresh store, and measure how that is rebuilt by so many processes.

        Raises:
            RuntimeError: when the rebuilt state was not put in place.
        """
        with self._fresh_store(kind) as url:
            migrate_store(url)
            run(self._program("timed_run", url, "1"))
            events = self.scenario.workload.events
            found = measured(self._program("timed_rebuild", url, str(processes)), events)
            with closing(open_store(url, read_only=True)) as store:
                generation = store.info().generation
        if generation != "b":
            raise RuntimeError(f"the generation is still {generation}")
        return found

    def round(self) -> dict[str, Measured]:
        """Measure all, one after the other."""
        found = {
            BARE: self.bare(),
            "SQLite": self.fold("SQLite"),
            BY_TWO: self.fold("SQLite", processes=2),
        }
        return {**found, "PostgreSQL": self.fold("PostgreSQL")} if self._postgres else found

    def _program(self, name: str, *arguments: str) -> list[str]:
        module = f"benchmarks.{name}"
        return [sys.executable, "-m", module, self.servers, self.topic, *arguments]

    @contextmanager
    def _fresh_store(self, kind: Store) -> Iterator[str]:
        if kind == "SQLite":
            with tempfile.TemporaryDirectory(prefix="sessionfold-bench-") as folder:
                yield f"sqlite:///{Path(folder, 'sessions.db')}"
            return
        assert self._postgres is not None
        url = self._postgres.create_database()
        yield url
        self._postgres.drop_database(database_name(url))
