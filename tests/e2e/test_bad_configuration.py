"""Bad configuration: one clear sentence with the fix, its own exit code, soon, and nothing else."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, store_url
from tests.services.kafka import Broker
from tests.services.kafka_configuration import free_ports
from tests.services.topics import create_topic, unique_topic_name

pytestmark = pytest.mark.kafka

_PATIENCE_SECONDS = 15


def _refused(cli: CommandLine, *arguments: str, code: int, **environment: str) -> str:
    """Run it; expect this exit code and one sentence on stderr; return the sentence."""
    start = time.monotonic()
    ended = cli(*arguments, **environment)
    # Not a measurement: it must have given up by itself, long before the test would.
    assert time.monotonic() - start < _PATIENCE_SECONDS
    assert ended.stdout == ""
    lines = ended.stderr.splitlines()
    assert len(lines) == 1, ended.stderr
    assert lines[0].startswith("sessionfold: ")
    assert ended.returncode == code, ended.stderr
    return lines[0]


@pytest.fixture(params=["run", "run --until-caught-up"])
def run(request: pytest.FixtureRequest) -> list[str]:
    """Both ways to run the service."""
    return str(request.param).split()


def test_no_broker_answers(lonely: CommandLine) -> None:
    """Nothing listens there."""
    address = f"127.0.0.1:{free_ports(1)[0]}"
    words = _refused(lonely, "run", "--bootstrap-servers", address, code=5)
    assert f"no Kafka broker answered at {address} within 10 s" in words
    assert "--bootstrap-servers" in words


def test_the_host_has_no_address(lonely: CommandLine) -> None:
    """A name that no resolver knows."""
    address = "no-such-host.invalid:9092"
    words = _refused(lonely, "run", "--until-caught-up", "--bootstrap-servers", address, code=5)
    assert "no-such-host.invalid:9092" in words


def test_the_topic_is_missing(cli: CommandLine, run: list[str]) -> None:
    """The message is the command that makes it."""
    words = _refused(cli, *run, "--topic", "no-such-topic", code=7)
    assert "sessionfold topic create --topic no-such-topic" in words


def test_the_topic_is_compacted(broker: Broker, cli: CommandLine, run: list[str]) -> None:
    """Compaction destroys partial events; the message says so."""
    name = unique_topic_name()
    create_topic(broker, name, cleanup_policy="compact")
    words = _refused(cli, *run, "--topic", name, code=8)
    assert "cleanup.policy=compact" in words
    assert "compaction keeps only the last event of each session" in words


def test_the_store_is_of_an_unknown_kind(cli: CommandLine, run: list[str]) -> None:
    """The message shows what there is, and never the URL itself: it may hold a password."""
    url = "mysql://user:s3cret@host/database"
    words = _refused(cli, *run, "--store", url, code=3)
    assert "sqlite:///FILE" in words
    assert "s3cret" not in words


@pytest.mark.parametrize("place", ["missing-folder/sessions.db", "a-file/sessions.db", "."])
def test_the_store_cannot_be_made(
    cli: CommandLine, run: list[str], folder: Path, place: str
) -> None:
    """No folder, a file where a folder should be, a folder where the file should be."""
    (folder / "a-file").write_text("")
    words = _refused(cli, *run, "--store", store_url(folder / place), code=9)
    assert str(folder) in words


def test_the_store_is_no_database(cli: CommandLine, run: list[str], folder: Path) -> None:
    """Whatever the file is, it is left as it is."""
    (folder / "notes.txt").write_text("these are my notes, not a database, " * 100)
    words = _refused(cli, *run, "--store", store_url(folder / "notes.txt"), code=9)
    assert "notes.txt" in words
    assert (folder / "notes.txt").read_text().startswith("these are my notes")


def test_the_store_is_another_programs(cli: CommandLine, run: list[str], folder: Path) -> None:
    """A database with other tables is not touched."""
    database = sqlite3.connect(folder / "other.db")
    database.execute("CREATE TABLE precious (thing TEXT)")
    database.close()
    words = _refused(cli, *run, "--store", store_url(folder / "other.db"), code=9)
    assert "another program" in words


def test_a_setting_that_kafka_does_not_know(cli: CommandLine, run: list[str]) -> None:
    """A misspelt librdkafka setting is named."""
    words = _refused(cli, *run, "--kafka", "fetch.max.bytez=1", code=3)
    assert "fetch.max.bytez" in words


def test_a_secret_on_the_command_line(cli: CommandLine, run: list[str]) -> None:
    """It is refused with the name of the environment variable, and not repeated."""
    words = _refused(cli, *run, "--kafka", "sasl.password=hunter2", code=3)
    assert "SESSIONFOLD_KAFKA_SASL_PASSWORD" in words
    assert "hunter2" not in words


def test_a_broker_that_speaks_otherwise(cli: CommandLine) -> None:
    """TLS asked of a plain listener: the broker is there, and the sentence says what failed."""
    ended = cli("run", SESSIONFOLD_KAFKA_SECURITY_PROTOCOL="SSL")
    assert ended.returncode in (5, 6)
    assert len(ended.stderr.splitlines()) == 1, ended.stderr


def test_another_topic_than_the_stores(broker: Broker, cli: CommandLine) -> None:
    """A store belongs to one topic for ever."""
    cli.good("run", "--until-caught-up")
    name = unique_topic_name()
    create_topic(broker, name)
    ended = cli("run", "--until-caught-up", "--topic", name)
    assert ended.returncode == 11
    assert name in ended.stderr
    assert "--store" in ended.stderr


def test_reading_a_store_that_is_not_there(lonely: CommandLine) -> None:
    """The commands that only answer create nothing."""
    for arguments in (["list"], ["show", "x"], ["dead-letters", "list"], ["store", "dump"]):
        words = _refused(lonely, *arguments, code=9)
        assert "there is no store at" in words


def test_a_session_that_is_not_there(cli: CommandLine) -> None:
    """The message names what was asked for."""
    cli.good("run", "--until-caught-up")
    ended = cli("show", "no-such-session")
    assert ended.returncode == 13
    assert "no-such-session" in ended.stderr
