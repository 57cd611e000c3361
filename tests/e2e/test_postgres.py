"""The command line over a store on PostgreSQL, with a password that must be seen nowhere."""

from __future__ import annotations

import json

import pytest

from benchmarks.workload import Workload
from tests.e2e.conftest import CommandLine
from tests.services.kafka import Broker
from tests.services.topics import append

pytestmark = pytest.mark.kafka

_SECRET = "s3cr3t%2Fpassword"  # noqa: S105 - the server of the tests asks for none


@pytest.fixture
def fleet(broker: Broker, topic: str, database: str) -> CommandLine:
    """The command line, pointed at the test's topic and an empty database."""
    return CommandLine(
        {
            "SESSIONFOLD_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "SESSIONFOLD_TOPIC": topic,
            "SESSIONFOLD_STORE": database.replace("postgres@", f"postgres:{_SECRET}@"),
        }
    )


def test_from_an_empty_database_to_answers(
    broker: Broker, topic: str, fleet: CommandLine, cli: CommandLine
) -> None:
    """Migrate, run, ask, verify; the dump is, byte for byte, that of a SQLite store."""
    records = list(Workload(events=2_000, sessions=200, live=50, seed=5).records())
    append(broker, topic, [*records, (b"a", b"no event")])
    assert fleet.good("store", "migrate").startswith("a new store, of version ")
    fleet.good("run", "--until-caught-up", "--batch-records", "300")
    assert len(json.loads(fleet.good("list", "--json"))) == 200
    session_id = records[0][0].decode()
    assert json.loads(fleet.good("show", session_id, "--json"))["session_id"] == session_id
    assert "not_single_object" in fleet.good("dead-letters", "list")
    assert ": right (" in fleet.good("verify")
    assert "FAIL" not in fleet.good("doctor")
    cli.good("run", "--until-caught-up")
    assert fleet.good("store", "dump") == cli.good("store", "dump")


def test_no_message_shows_the_password(fleet: CommandLine) -> None:
    """Of no command, whether it succeeds or not, in words or in logs."""
    said = []
    for arguments in (
        ("list",),
        ("store", "migrate"),
        ("-v", "run", "--until-caught-up"),
        ("show", "nobody"),
        ("dead-letters", "show", "0:1"),
        ("dead-letters", "retry", "0:1"),
        ("doctor",),
        ("store", "check"),
        ("verify",),
    ):
        ended = fleet(*arguments)
        said.append(ended.stdout + ended.stderr)
    assert "there is no session nobody in postgresql://127.0.0.1:" in said[3]
    assert not [words for words in said if "s3cr3t" in words]


def test_a_password_on_the_command_line_is_refused(fleet: CommandLine) -> None:
    """Every user of the machine could read it there."""
    for url in ("postgresql://me:s3cr3t@db/x", "postgresql://db/x?password=s3cr3t"):
        ended = fleet("run", "--store", url)
        assert ended.returncode == 2
        assert "give the URL in SESSIONFOLD_STORE" in ended.stderr
        assert "s3cr3t" not in ended.stderr


def test_a_server_that_is_not_there_is_said_so(fleet: CommandLine) -> None:
    """Within seconds, with the code of a store that cannot be used."""
    ended = fleet("run", SESSIONFOLD_STORE="postgresql://me@127.0.0.1:1/x")
    assert ended.returncode == 9
    assert "cannot open the store postgresql://127.0.0.1:1/x" in ended.stderr
    assert "see that the server runs" in ended.stderr
