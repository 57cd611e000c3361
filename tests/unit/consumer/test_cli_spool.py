"""``sessionfold spool``: what it says, what it does not do unasked, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from sessionfold._spooling.journal import Header, Journal
from sessionfold._spooling.spool import Destination
from tests.services.spooling import living_worker
from tests.unit.consumer.conftest import CommandLine
from tests.unit.consumer.test_cli_start import without_extras
from tests.unit.sdk.journals import entry
from tests.unit.sdk.spools import left
from tests.unit.sdk.spools import spool as spool_of

_NOWHERE = "127.0.0.1:1"


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A directory that is not there yet, nor the one above it."""
    return tmp_path / "state" / "spool"


def test_a_row_for_each_file_and_the_sums(cli: CommandLine, where: Path) -> None:
    """Readable without any extra, and aligned."""
    names = [
        left(where, entry(1), entry(2), producer_id="a").name,
        left(where, entry(1), producer_id="b").name,
    ]
    result = cli("spool", "status", "--directory", str(where))
    header, first, second, sums = result.stdout.splitlines()
    assert header.split()[:4] == ["TOPIC", "BROKERS", "EVENTS", "UPDATES"]
    assert first.split()[:4] == ["events", "one:9092,two:9092", "2", "2"]
    assert [first.split()[-1], second.split()[-1]] == names
    assert header.index("FILE") == first.index(names[0]) == second.index(names[1])
    assert sums.startswith("2 files, 3 events with 3 updates, ")
    assert sums.endswith(f", 0 damaged bytes, in {where}")


def test_json_has_the_same(cli: CommandLine, where: Path) -> None:
    """For programs, with null where nothing is known."""
    path = left(where, entry(1), entry(2))
    found = json.loads(cli("spool", "status", "--json", "--directory", str(where)).stdout)
    assert (found["directory"], found["updates"], found["damaged_bytes"]) == (str(where), 2, 0)
    [file] = found["files"]
    assert file == {
        "name": path.name,
        "topic": "events",
        "bootstrap_servers": "one:9092,two:9092",
        "events": 2,
        "updates": 2,
        "bytes": path.stat().st_size,
        "oldest": None,
        "owner_alive": False,
        "behind": [],
        "damaged_bytes": 0,
    }


@pytest.mark.parametrize("command", ["status", "send", "drop"])
def test_an_empty_spool_is_no_error(cli: CommandLine, where: Path, command: str) -> None:
    """Nor one that was never made; no broker is asked, and nobody else either."""
    result = cli("spool", command, SESSIONFOLD_SPOOL_DIRECTORY=str(where))
    assert (result.exit_code, result.stdout) == (0, f"nothing is spooled in {where}\n")
    assert not where.exists()


@pytest.mark.parametrize("command", ["status", "send", "drop"])
def test_a_directory_that_cannot_be_used_is_one_sentence(
    cli: CommandLine, where: Path, command: str
) -> None:
    """With a code of its own: missing, a link, or open to others."""
    path = left(where, entry(1))
    link = where.parent / "link"
    link.symlink_to(where)
    where.chmod(0o777)
    for unusable in (where.parent / "missing", link, where, path):
        result = cli("spool", command, "--directory", str(unusable))
        assert result.exit_code == 17
        assert result.stderr.startswith(f"sessionfold: the spool cannot be used: {unusable}")
        assert len(result.stderr.splitlines()) == 1


def test_a_setting_that_cannot_work_is_one_sentence(cli: CommandLine) -> None:
    """With the code of all such settings."""
    result = cli("spool", "status", SESSIONFOLD_SPOOL_MEGABYTES="none")
    assert result.exit_code == 3
    assert "SESSIONFOLD_SPOOL_MEGABYTES" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_files_say_cannot_move_the_cursor(cli: CommandLine, where: Path) -> None:
    """Names, topics and brokers are the disk's, whoever wrote it."""
    wild = "\x1b[2J\n\u202e"
    where.mkdir(parents=True, mode=0o700)
    path = where / f"{'0' * 16}-{wild}-0.spool"
    header = Header(topic=wild, bootstrap_servers=wild, producer_id="p")
    Journal.create(path, header).close()
    commands: list[list[str]] = [["status"], ["status", "--json"], ["send"], ["drop", "--yes"]]
    for command in commands:
        result = cli("spool", *command, "--directory", str(where))
        assert result.exit_code == 0, result.stderr
        assert result.stdout.replace("\n", "").isprintable()
        assert "[2J" in result.stdout or command[0] == "drop"


def test_dropping_asks_for_yes_where_nobody_can_be_asked(cli: CommandLine, where: Path) -> None:
    """Then nothing is deleted, and what would be lost is said."""
    path = left(where, entry(1), entry(2))
    result = cli("spool", "drop", "--directory", str(where))
    assert result.exit_code == 2
    assert "2 updates and 0 damaged bytes in 1 file would be lost" in result.stderr
    assert path.exists()
    result = cli("spool", "drop", "--yes", "--directory", str(where))
    assert (result.exit_code, result.stdout) == (
        0,
        "deleted 1 file: 2 updates lost, 0 damaged bytes\n",
    )
    assert list(where.iterdir()) == []


@pytest.mark.parametrize(("answer", "is_there"), [(b"n\n", True), (b"\n", True), (b"y\n", False)])
def test_dropping_asks_on_a_terminal(where: Path, answer: bytes, is_there: bool) -> None:
    """No is what an empty answer means."""
    path = left(where, entry(1))
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", "from sessionfold_consumer.cli import main; main()"]
    os.write(ours, answer)
    with subprocess.Popen(
        [*command, "spool", "drop", "--directory", str(where)], stdin=theirs, stdout=subprocess.PIPE
    ) as asked:
        assert asked.stdout is not None
        said = asked.stdout.read()
    os.close(ours)
    os.close(theirs)
    assert b"1 update and 0 damaged bytes in 1 file will be lost. Delete them?" in said
    assert path.exists() is is_there
    assert asked.returncode == is_there


def test_a_name_that_is_not_there_is_not_found(cli: CommandLine, where: Path) -> None:
    """And nothing is deleted, not even what was named rightly."""
    path = left(where, entry(1))
    result = cli("spool", "drop", "--yes", path.name, "other", "--directory", str(where))
    assert result.exit_code == 13
    assert result.stderr == f"sessionfold: there is no spool file other in {where}\n"
    assert path.exists()


def test_a_living_process_keeps_its_file(cli: CommandLine, where: Path) -> None:
    """Named it is an error; with all others it is left."""
    with living_worker(where, _NOWHERE, "events", 30):
        owned = cli("spool", "status", "--json", "--directory", str(where)).stdout
        [file] = json.loads(owned)["files"]
        assert file["owner_alive"]
        named = cli("spool", "drop", "--yes", file["name"], "--directory", str(where))
        assert named.exit_code == 17
        assert "is owned by a living process" in named.stderr
        everything = cli("spool", "drop", "--yes", "--directory", str(where))
        assert everything.exit_code == 0
        sent = cli("spool", "send", "--directory", str(where), "--topic", "events",
                   "--bootstrap-servers", _NOWHERE)  # fmt: skip
        assert sent.exit_code == 0
        assert "a living process owns it, and sends it itself" in sent.stdout
        assert (where / file["name"]).exists()


def test_damage_is_dropped_by_itself(cli: CommandLine, where: Path) -> None:
    """The events beside it stay."""
    path = left(where, entry(1), entry(2))
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)
    result = cli("spool", "drop", "--damaged", "--yes", "--directory", str(where))
    assert result.exit_code == 0
    assert result.stdout.startswith("deleted 1 file: 0 updates lost, ")
    assert [each.name for each in where.glob("*.spool")] == [path.name]
    again = cli("spool", "drop", "--damaged", "--yes", "--directory", str(where))
    assert (again.exit_code, again.stdout.count("\n")) == (0, 1)
    assert "nothing was deleted" in again.stdout


def test_what_cannot_be_deleted_is_an_error(cli: CommandLine, where: Path) -> None:
    """With the reason, and its own code; the others are deleted."""
    path = left(where, entry(1))
    other = path.with_name(path.name.replace("gone", "link"))
    other.symlink_to(path)
    result = cli("spool", "drop", "--yes", "--directory", str(where))
    assert result.exit_code == 17
    assert result.stdout.splitlines()[0] == "deleted 1 file: 1 update lost, 0 damaged bytes"
    assert other.name in result.stdout.splitlines()[1]
    assert len(result.stderr.splitlines()) == 1


def test_other_destinations_are_left_and_said(cli: CommandLine, where: Path) -> None:
    """No broker is asked when there is nothing to send."""
    left(where, entry(1))
    elsewhere = spool_of(where, "p", Destination(topic="t", bootstrap_servers="three:9092"))
    elsewhere.create().append([entry(1), entry(2)])
    elsewhere.close()
    result = cli(
        "spool", "send", "--directory", str(where), "--bootstrap-servers", _NOWHERE
    )  # fmt: skip
    assert result.exit_code == 0
    assert "(1 update): it is for events at one:9092,two:9092" in result.stdout
    assert "(2 updates): it is for t at three:9092" in result.stdout


def test_a_broker_that_is_away_is_one_sentence(
    cli: CommandLine, where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As everywhere; the files stay."""
    monkeypatch.setattr("sessionfold_consumer.broker.CONTACT_SECONDS", 0.0)
    spool = spool_of(where, "p", Destination(topic="t", bootstrap_servers=_NOWHERE))
    path = spool.create().path
    spool.close()
    result = cli("spool", "send", "--directory", str(where), "--topic", "t",
                 "--bootstrap-servers", _NOWHERE)  # fmt: skip
    assert result.exit_code == 5
    assert len(result.stderr.splitlines()) == 1
    assert path.exists()


@pytest.mark.parametrize("wrong", [("--timeout", "0"), ("--timeout", "soon"), ("--topc", "t")])
def test_what_cannot_be_understood_is_code_2(cli: CommandLine, wrong: tuple[str, str]) -> None:
    """With the usage."""
    result = cli("spool", "send", *wrong)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")


def test_hosts_of_workers_need_no_extra(where: Path) -> None:
    """The spool is where only the SDK is installed."""
    left(where, entry(1))
    for command in ("status", "send", "drop"):
        yes = ["--yes"] if command == "drop" else []
        ended = without_extras("spool", command, *yes, "--directory", str(where))
        assert (ended.returncode, ended.stderr) == (0, "")
