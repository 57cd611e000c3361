"""A store under load: workers publish, services fold, readers ask; beside them goes ``rebuild``."""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sessionfold_consumer.config import Settings
from sessionfold_consumer.store import StoreInfo, is_postgres, open_store, sqlite_path
from tests.e2e.conftest import CommandLine
from tests.e2e.members import Members, Oracle, next_offsets, stored_model, wait_until
from tests.e2e.outage.fleet import Fleet
from tests.e2e.outage.log import FIELDS, differences
from tests.e2e.readers import Readers
from tests.services.kafka import Broker
from tests.services.postgres_databases import connect
from tests.services.topics import end_offsets

WORKERS = ("one", "two")
BY_HAND = "changed by hand"

QUICK = ("-X", "session.timeout.ms=6000", "-X", "heartbeat.interval.ms=1000")


@dataclass(frozen=True, kw_only=True)
class Live:
    """What runs, and what it is held to."""

    broker: Broker
    topic: str
    cli: CommandLine
    workers: Fleet
    members: Members
    readers: Readers
    oracle: Oracle

    @property
    def store(self) -> str:
        """The store's URL."""
        return self.cli.environment["SESSIONFOLD_STORE"]

    def info(self) -> StoreInfo:
        """Return what the store says of itself now."""
        return store_info(self.store)

    def rebuild(self, *options: str) -> subprocess.CompletedProcess[str]:
        """Run ``sessionfold rebuild`` to its end; everybody else is well meanwhile."""
        ended = self.cli("rebuild", *options)
        self.assert_well()
        return ended

    def good(self, *options: str) -> str:
        """Run it, expect success, and return what it printed."""
        ended = self.rebuild(*options)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def change_by_hand(self, *, is_finished: bool) -> str:
        """Give a session another name in what is live, in a way that no event can explain.

        Returns:
            The ID of the session, which is open, and so soon goes on, or finished.
        """
        table = f"session_state_{self.info().generation}"
        with writing(self.store) as (connection, schema):
            found = connection.execute(
                f"SELECT session_id FROM {schema}{table} WHERE is_finished = {is_finished} "  # noqa: S608
                f"AND session_name <> '{BY_HAND}' ORDER BY first_offset LIMIT 1"
            )
            [session_id] = found.fetchone()
            connection.execute(
                f"UPDATE {schema}{table} SET session_name = '{BY_HAND}' "  # noqa: S608
                f"WHERE session_id = '{session_id}'"
            )
        return str(session_id)

    def assert_well(self) -> None:
        """Expect that services run, and that readers have seen nothing wrong."""
        self.members.assert_running()
        self.readers.check()

    def assert_verified(self) -> None:
        """Hold the store to the log, with the verifier that has followed it so far."""
        report = self.oracle.check()
        assert report is not None
        assert report.is_clean, report.differences[:5]
        self.assert_well()

    def go_on_for(self, seconds: float) -> None:
        """Let everything go on for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.assert_well()
            time.sleep(0.1)

    def wait_for_progress(self) -> None:
        """Wait until the live state of each partition has moved on."""
        before = next_offsets(self.store)

        def has_moved() -> bool:
            now = next_offsets(self.store)
            return all(now[each] > before[each] for each in before)

        wait_until(has_moved, "progress in every partition", self.members)
        self.readers.check()

    def end(self) -> None:
        """End workers and services; what is stored then is what the workers gave."""
        results = self.workers.end()
        ends = end_offsets(self.broker, self.topic)
        wait_until(lambda: next_offsets(self.store) == ends, "the end of the log", self.members)
        self.members.stop()
        self.assert_verified_by_command()
        given = {k: v for each in results.values() for k, v in each["model"].items()}
        assert differences(stored_model(self.store, FIELDS), given) == {}

    def assert_verified_by_command(self) -> None:
        """Expect the same of the command, which begins at the log's start."""
        assert ": right (" in self.cli.good("verify")


@contextmanager
def under_load(
    broker: Broker, topic: str, cli: CommandLine, folder: Path, names: Sequence[str], rate: int
) -> Iterator[Live]:
    """Start everything; kill what still runs at the end.

    Args:
        broker: where the topic is.
        topic: a fresh one.
        cli: says where topic and store are.
        folder: for logs, the workers' results and their spool.
        names: of the services.
        rate: updates a second, by all workers together.
    """
    store = cli.environment["SESSIONFOLD_STORE"]
    settings = Settings(bootstrap_servers=broker.bootstrap_servers, topic=topic, store=store)
    fleet = Fleet(WORKERS, folder, bootstrap_servers=broker.bootstrap_servers, topic=topic)
    with fleet as workers, Members(cli, folder, QUICK) as members:
        workers.begin_earlier()
        for name in names:
            members.start(name)
        workers.start(rate)
        wait_until(lambda: _is_begun(store), "a first commit of every partition", members)
        with Readers(store) as readers:
            yield Live(
                broker=broker,
                topic=topic,
                cli=cli,
                workers=workers,
                members=members,
                readers=readers,
                oracle=Oracle(settings),
            )


def store_info(url: str) -> StoreInfo:
    """Return what a store says of itself."""
    with closing(open_store(url, read_only=True)) as store:
        return store.info()


@contextmanager
def writing(url: str) -> Iterator[tuple[Any, str]]:
    """Yield a connection to a store's database, and how its tables' names begin."""
    if is_postgres(url):
        with connect(url) as connection:
            yield connection, "sessionfold."
    else:
        with closing(sqlite3.connect(sqlite_path(url), timeout=60)) as file, file:
            yield file, ""


def _is_begun(store: str) -> bool:
    offsets = next_offsets(store)
    return bool(offsets) and all(offsets.values())
