"""Broker or database away for long: the service stays, small and in its group, and goes on."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path

import pytest

from benchmarks.workload import Workload
from sessionfold_consumer.store import migrate_store, open_store
from tests.e2e.conftest import CommandLine, store_url
from tests.e2e.members import Members, next_offsets, wait_until
from tests.services.groups import group_members
from tests.services.kafka import KafkaBroker
from tests.services.postgres import PostgresServer
from tests.services.topics import append, create_topic, end_offsets

pytestmark = pytest.mark.kafka

_POLL_SECONDS = 7
"""Who has not polled for so long is put out of the group; far shorter than the outage."""

_OPTIONS = (
    *("-X", f"max.poll.interval.ms={_POLL_SECONDS}000", "-X", "session.timeout.ms=6000"),
    *("--metrics-address", "127.0.0.1:0"),
)
_GROWTH_KIBIBYTES = 16 * 1024

_RECORDS = list(Workload(events=30_000, sessions=3_000, live=500, seed=9).records())
_FIRST, _LATER = _RECORDS[:10_000], _RECORDS[10_000:]

long_and_short = pytest.mark.parametrize(
    "seconds", [2 * _POLL_SECONDS, pytest.param(600, marks=pytest.mark.soak)]
)


@dataclass(frozen=True, kw_only=True)
class Service:
    """A running service, and where it is to be seen."""

    members: Members
    broker: KafkaBroker
    store: str

    def is_ready(self) -> bool:
        """Ask it."""
        found = re.search(r"health and metrics: http://(\S+)", self.members.words("only"))
        assert found is not None
        with closing(HTTPConnection(found[1], timeout=5)) as connection:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == HTTPStatus.OK

    def is_caught_up(self) -> bool:
        """Say whether all of the log is folded."""
        return next_offsets(self.store) == end_offsets(self.broker, "t")

    def kibibytes(self) -> int:
        """Return what it has in memory."""
        status = Path(f"/proc/{self.members.pid('only')}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1])


@long_and_short
def test_a_database_that_is_away(
    own_broker: KafkaBroker, own_postgres: PostgresServer, folder: Path, seconds: int
) -> None:
    """It polls all the time: the group has the same member, with the same partitions."""
    store = own_postgres.create_database()
    migrate_store(store)
    cli = _command_line(own_broker, store)
    with Members(cli, folder, _OPTIONS) as members:
        service = _started(members, own_broker, store)
        group = _group(store)
        before = group_members(own_broker, group)
        own_postgres.stop("immediate")
        append(own_broker, "t", _LATER)
        _endure(service, seconds)
        assert group_members(own_broker, group) == before
        own_postgres.restart()
        _assert_it_goes_on(service, cli)
        assert members.words("only").count("took over") == 1


@long_and_short
def test_a_broker_that_is_away(own_broker: KafkaBroker, folder: Path, seconds: int) -> None:
    """Nothing comes, and nothing grows."""
    store = store_url(folder / "sessions.db")
    cli = _command_line(own_broker, store)
    with Members(cli, folder, _OPTIONS) as members:
        service = _started(members, own_broker, store)
        own_broker.terminate()
        _endure(service, seconds)
        own_broker.restart()
        append(own_broker, "t", _LATER)
        _assert_it_goes_on(service, cli)


def _command_line(broker: KafkaBroker, store: str) -> CommandLine:
    create_topic(broker, "t")
    return CommandLine(
        {
            "SESSIONFOLD_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "SESSIONFOLD_TOPIC": "t",
            "SESSIONFOLD_STORE": store,
        }
    )


def _started(members: Members, broker: KafkaBroker, store: str) -> Service:
    service = Service(members=members, broker=broker, store=store)
    append(broker, "t", _FIRST)
    members.start("only")
    _wait(service, service.is_caught_up, "all that was published first")
    _wait(service, service.is_ready, "readiness")
    return service


def _endure(service: Service, seconds: int) -> None:
    """See for so long that the service is there, not ready, and no larger than at first."""
    _wait(service, lambda: not service.is_ready(), "that it is not ready")
    began, at_first = time.monotonic(), service.kibibytes()
    while time.monotonic() < began + seconds:
        time.sleep(1)
        service.members.assert_running()
        assert not service.is_ready()
        assert service.kibibytes() < at_first + _GROWTH_KIBIBYTES


def _assert_it_goes_on(service: Service, cli: CommandLine) -> None:
    _wait(service, service.is_caught_up, "the end of the log")
    _wait(service, service.is_ready, "readiness")
    service.members.stop()
    words = cli.good("verify")
    assert f"{len(_RECORDS):,} records, 4 partitions, 3,000 sessions" in words
    assert "dead letter" not in words or "0 dead letters" in words


def _wait(service: Service, reached: Callable[[], bool], what: str) -> None:
    wait_until(reached, what, service.members)


def _group(store: str) -> str:
    with closing(open_store(store, read_only=True)) as opened:
        return opened.info().group_id
