"""``sessionfold verify``: its answer, its exit codes, and what it says to people and programs."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from benchmarks.workload import Workload
from tests.e2e.conftest import CommandLine
from tests.services.kafka import Broker
from tests.services.topics import append, create_topic, delete_records, delete_topic

pytestmark = pytest.mark.kafka

EVENTS = 200
SESSIONS = 20
_RECORDS = list(Workload(events=EVENTS, sessions=SESSIONS, live=5).records())

HOSTILE = "\x1b]0;title\x07\u202e"


@pytest.fixture
def folded(broker: Broker, topic: str, cli: CommandLine) -> CommandLine:
    """The command line with a store that is right."""
    append(broker, topic, _RECORDS)
    append(broker, topic, [(b"a", b"no event")], partition=1)
    cli.good("run", "--until-caught-up")
    return cli


def change(folder: Path, statement: str, *values: object) -> None:
    """Damage the store."""
    with closing(sqlite3.connect(folder / "sessions.db")) as database, database:
        assert database.execute(statement, values).rowcount


def test_a_right_store_is_one_line(folded: CommandLine) -> None:
    """How much was compared, and that it is right; nothing is changed."""
    before = folded.good("store", "dump")
    [line] = folded.good("verify").splitlines()
    assert line.startswith("201 records, 4 partitions, 20 sessions, 1 dead letter: right (")
    assert line.endswith(" records/s)")
    assert folded.good("store", "dump") == before


def test_a_right_store_as_json(folded: CommandLine) -> None:
    """The same for programs."""
    report = json.loads(folded.good("verify", "--json"))
    assert report["is_clean"] is True
    assert (report["records"], report["sessions"], report["dead_letters"]) == (201, 20, 1)
    assert sum(report["positions"].values()) == 201
    assert (report["differences"], report["difference_count"], report["notes"]) == ([], 0, [])


def test_differences_are_shown_and_end_with_20(folded: CommandLine, folder: Path) -> None:
    """Each on a line that a terminal can show, so many of them as asked for, and all counted."""
    change(folder, "UPDATE session_state_a SET task = ?, event_count = event_count + 1", HOSTILE)
    ended = folded("verify", "--limit", "3")
    assert ended.returncode == 20
    first, *lines = ended.stdout.splitlines()
    assert "1 dead letter: 40 differences" in first
    assert len(lines) == 4
    assert "in partition" in lines[1]
    assert 'task is "\\u001b]0;title\\u0007\\u202e", by the log it is "' in ended.stdout
    assert lines[3] == "  and 37 more; show them with --limit"
    assert "the store is not the fold of its log: 40 differences" in ended.stderr
    report = json.loads(folded("verify", "--json", "--limit", "1").stdout)
    assert (len(report["differences"]), report["difference_count"]) == (1, 40)
    assert report["differences"][0]["field"] == "event_count"


def test_a_missing_session_and_dead_letter_are_named(folded: CommandLine, folder: Path) -> None:
    """With their places in the log."""
    change(folder, "DELETE FROM dead_letters_a")
    change(folder, "DELETE FROM session_state_a WHERE session_id IN "
                   "(SELECT min(session_id) FROM session_state_a)")  # fmt: skip
    ended = folded("verify")
    assert ended.returncode == 20
    _, session, letter = ended.stdout.splitlines()
    assert "the store has nothing, the log a state of" in session
    assert letter.endswith("the store has nothing, the log a dead letter (not_single_object)")
    assert letter.startswith("  record 1:")


def test_a_store_of_another_topic_ends_with_11(
    broker: Broker, topic: str, folded: CommandLine
) -> None:
    """One that was created again under the same name is another one."""
    delete_topic(broker, topic)
    create_topic(broker, topic)
    ended = folded("verify")
    assert (ended.returncode, ended.stdout) == (11, "")
    assert "deleted and created again" in ended.stderr


def test_a_log_without_its_start_ends_with_12(
    broker: Broker, topic: str, folded: CommandLine
) -> None:
    """It says what is missing, and not that the store is wrong."""
    delete_records(broker, topic, 1, before=3)
    ended = folded("verify")
    assert (ended.returncode, ended.stdout) == (12, "")
    assert "cannot be verified: offsets 0 to 2 of partition 1 were folded" in ended.stderr


def test_what_is_not_there_has_the_codes_of_every_command(cli: CommandLine, folder: Path) -> None:
    """No store, no broker, and a store that nothing was folded into."""
    assert cli("verify").returncode == 9
    assert not list(folder.glob("sessions.db*"))
    cli.good("run", "--until-caught-up")
    assert "0 records, 4 partitions, 0 sessions, 0 dead letters: right" in cli.good("verify")
    ended = cli("verify", "--bootstrap-servers", "127.0.0.1:9")
    assert ended.returncode == 5
    assert "no Kafka broker answered at 127.0.0.1:9" in ended.stderr
