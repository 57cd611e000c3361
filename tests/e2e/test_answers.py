"""``history``, ``explain``, ``tail`` and ``audit`` on a real broker, as they are called."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import IO, Any

import pytest

from tests.e2e.conftest import CommandLine
from tests.services.kafka import Broker
from tests.services.topics import append, create_topic, delete_records, delete_topic
from tests.unit.consumer.conftest import event

pytestmark = pytest.mark.kafka

PATIENCE_SECONDS = 30.0

Record = tuple[bytes | None, bytes | None]


def record(session_id: str, sequence: int, **fields: Any) -> Record:  # noqa: ANN401
    """Return an event's key and value."""
    key, value = event(0, session_id, sequence, **fields)[1]
    return key, value


@pytest.fixture
def folded(broker: Broker, topic: str, cli: CommandLine) -> CommandLine:
    """The command line with a store of two sessions in partition 1; one has a bad record."""
    records = [
        record("a", 0, task="one", is_finished=False),
        record("b", 1, task="b's"),
        record("a", 2, task="two", session_eval=0.5, lost_before=1),
        (b"a", b"no event"),
        record("a", 4, is_finished=True),
    ]
    append(broker, topic, records, partition=1)
    cli.good("run", "--until-caught-up")
    return cli


def test_history_shows_each_record_and_the_state_after_it(folded: CommandLine) -> None:
    """For people and for programs; the store is not changed."""
    before = folded.good("store", "dump")
    steps = [json.loads(line) for line in folded.good("history", "a", "--json").splitlines()]
    assert [(step["offset"], step["fate"]) for step in steps] == [
        (0, "folded"),
        (2, "folded"),
        (3, "set_aside"),
        (4, "folded"),
    ]
    assert [step["state"]["task"] for step in steps] == ["one", "two", "two", "two"]
    shown = json.loads(folded.good("show", "a", "--json"))
    assert steps[-1]["state"] | {"dead_letters": 1} == shown
    lines = folded.good("history", "a").splitlines()
    assert [line.partition(" ")[0] for line in lines if line[0] != " "] == [
        "1:0",
        "1:2",
        "1:3",
        "1:4",
    ]
    assert "    task                  two  (was one)" in lines
    assert folded.good("store", "dump") == before


def test_explain_says_where_values_come_from(folded: CommandLine) -> None:
    """Of one field or of all, for people and for programs."""
    lines = folded.good("explain", "a", "task").splitlines()
    assert lines[0].split() == ["task", "two"]
    assert lines[1].startswith("    set by 1:2 at ")
    assert lines[2] == "    by p #2"
    assert lines[3] == "    replaced one"
    found = json.loads(folded.good("explain", "a", "--json"))
    assert found["fields"]["is_finished"]["set_by"]["offset"] == 4
    assert found["fields"]["lost_before"]["parts"][0]["amount"] == 1
    assert (found["set_aside"], found["disagreements"]) == (1, 0)


def test_explain_ends_with_20_when_store_and_log_disagree(
    folded: CommandLine, folder: Path
) -> None:
    """It shows both, and names the command that shows everything."""
    with closing(sqlite3.connect(folder / "sessions.db")) as database, database:
        database.execute("UPDATE session_state_a SET task = 'changed' WHERE session_id = 'a'")
    ended = folded("explain", "a", "task")
    assert ended.returncode == 20
    assert "the log disagrees: by it this is two, set by offset 2" in ended.stdout
    assert "sessionfold verify" in ended.stdout
    assert folded("explain", "a", "session_eval").returncode == 0


def test_what_the_log_no_longer_has_is_said(
    broker: Broker, topic: str, folded: CommandLine
) -> None:
    """On stderr, so that stdout stays what it is; the rest is shown."""
    delete_records(broker, topic, 1, before=2)
    ended = folded("history", "a", "--json")
    assert ended.returncode == 0
    assert "the log does not have offsets 0 to 1 of partition 1" in ended.stderr
    steps = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [step["offset"] for step in steps] == [2, 3, 4]
    ended = folded("explain", "a", "--json")
    assert ended.returncode == 0
    assert json.loads(ended.stdout)["missing"] == [{"partition": 1, "first": 0, "last": 1}]


def test_another_topic_is_refused(broker: Broker, topic: str, folded: CommandLine) -> None:
    """Its offsets mean something else; so by each command that reads store and log."""
    delete_topic(broker, topic)
    create_topic(broker, topic)
    commands = [["history", "a"], ["explain", "a"], ["audit", "--open-longer-than", "1h"]]
    for arguments in commands:
        ended = folded(*arguments)
        assert (ended.returncode, ended.stdout) == (11, "")


def test_they_answer_while_a_service_runs(broker: Broker, topic: str, folded: CommandLine) -> None:
    """And they take no partition from it."""
    service = folded.start("run")
    try:
        append(broker, topic, [record("a", 5, task="three")], partition=1)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while json.loads(folded.good("show", "a", "--json"))["task"] != "three":
            assert time.monotonic() < deadline
        assert folded.good("explain", "a", "task").splitlines()[0].split() == ["task", "three"]
        assert folded.good("history", "a").splitlines()[-1].endswith("three  (was two)")
        assert service.poll() is None
    finally:
        service.send_signal(signal.SIGTERM)
        service.communicate(timeout=PATIENCE_SECONDS)
    assert service.returncode == 0


def test_tail_shows_what_arrives_until_sigint(broker: Broker, topic: str, cli: CommandLine) -> None:
    """From now on; decoded, refused ones with the reason. No store is made."""
    append(broker, topic, [record("a", 0)], partition=0)
    tailing = cli.start("tail", "--json")
    try:
        heard = _heard_of(tailing, broker, topic)
        append(broker, topic, [(b"a", b"no event"), record("b", 7, task="x")], partition=2)
        refused, other = (json.loads(_line(tailing.stdout)) for _ in range(2))
    finally:
        tailing.send_signal(signal.SIGINT)
        _, said = tailing.communicate(timeout=PATIENCE_SECONDS)
    assert (tailing.returncode, said) == (0, "")
    assert heard["event"]["task"] == "ready?"
    assert (refused["partition"], refused["offset"], refused["reason"]) == (
        2,
        0,
        "not_single_object",
    )
    assert (other["event"]["session_id"], other["event"]["sequence"]) == ("b", 7)


def _heard_of(tailing: subprocess.Popen[str], broker: Broker, topic: str) -> Any:  # noqa: ANN401
    """Append events until one is heard; drop the others that were appended meanwhile."""
    found = threading.Event()

    def ask() -> None:
        while not found.wait(0.5):
            append(broker, topic, [record("ready", 0, task="ready?")], partition=3)

    asking = threading.Thread(target=ask)
    asking.start()
    first = json.loads(_line(tailing.stdout))
    found.set()
    asking.join()
    return first


def test_tail_begins_where_it_is_told_to(broker: Broker, topic: str, cli: CommandLine) -> None:
    """At the log's start, or with the records of a time; of one session or all."""
    append(broker, topic, [record("a", 0), record("b", 1)], partition=1)
    time.sleep(0.05)
    middle = time.time()
    append(broker, topic, [record("b", 2), record("a", 3)], partition=1)
    since = _iso(middle)
    for arguments, expected in [
        (["--from-start"], [0, 1, 2, 3]),
        (["--from-start", "--session", "b"], [1, 2]),
        (["--since", since], [2, 3]),
        (["--since", "1h", "--session", "a"], [0, 3]),
    ]:
        tailing = cli.start("tail", "--json", *arguments)
        offsets = [json.loads(_line(tailing.stdout))["offset"] for _ in expected]
        tailing.send_signal(signal.SIGINT)
        rest, _ = tailing.communicate(timeout=PATIENCE_SECONDS)
        assert (offsets, rest, tailing.returncode) == (expected, "", 0)


def test_tail_ends_when_nobody_reads_its_pipe(broker: Broker, topic: str, cli: CommandLine) -> None:
    """Also while nothing arrives; in silence."""
    append(broker, topic, [record("a", 0)], partition=1)
    tailing = cli.start("tail", "--from-start")
    assert _line(tailing.stdout).startswith("1:0  ")
    assert tailing.stdout is not None
    tailing.stdout.close()
    assert tailing.wait(PATIENCE_SECONDS) == 0
    assert tailing.stderr is not None
    assert tailing.stderr.read() == ""
    tailing.stderr.close()


def test_audit_tells_what_is_missing_by_its_exit_code(
    broker: Broker, topic: str, cli: CommandLine
) -> None:
    """0 when nothing is; 24 for a gap, a lost update or a session that is open for too long."""
    append(broker, topic, [record("a", 0), record("b", 2)], partition=0)
    append(broker, topic, [record("c", 1)], partition=1)
    assert "nothing is missing" in cli.good("audit", "--grace", "0s")
    append(broker, topic, [record("c", 5, lost_before=2)], partition=1)
    ended = cli("audit", "--grace", "0s")
    assert ended.returncode == 24
    assert "not all has arrived: 2 events missing in the log, 2 updates dropped" in ended.stderr
    found = json.loads(cli("audit", "--grace", "0s", "--json").stdout)
    [finding] = found["findings"]
    assert (finding["producer_id"], finding["missing"], finding["lost"]) == ("p", 2, 2)
    assert [(gap["first"], gap["last"]) for gap in finding["gaps"]] == [(3, 4)]
    found = json.loads(cli("audit", "--json").stdout)
    assert (found["missing"], found["undecided"], found["lost"]) == (0, 2, 2)


def test_audit_is_exact_about_a_range(broker: Broker, topic: str, cli: CommandLine) -> None:
    """What lies before it is no gap, nor what lies behind; what is asked of a range is its own."""
    append(broker, topic, [record("a", 0), record("a", 3)], partition=0)
    time.sleep(0.05)
    middle = _iso(time.time())
    time.sleep(0.05)
    append(broker, topic, [record("a", 7), record("b", 8)], partition=1)
    later = _ranges(cli, "--since", middle)
    earlier = _ranges(cli, "--until", middle)
    everything = _ranges(cli)
    assert (earlier, later, everything) == ([(1, 2)], [], [(1, 2), (4, 6)])
    assert _ranges(cli, "--since", middle, grace="1m") == []
    delete_records(broker, topic, 0, before=2)
    assert _ranges(cli) == []


def test_audit_names_sessions_that_did_not_end(
    broker: Broker, topic: str, cli: CommandLine
) -> None:
    """As the store has them, by the workers' clocks."""
    append(broker, topic, [record("a", 0), record("b", 1, is_finished=True)], partition=0)
    cli.good("run", "--until-caught-up")
    ended = cli("audit", "--open-longer-than", "1d", "--json")
    assert ended.returncode == 24
    assert [each["session_id"] for each in json.loads(ended.stdout)["open_sessions"]] == ["a"]
    assert cli("audit", "--open-longer-than", "9999d").returncode == 0
    assert cli("audit", "--open-longer-than", "1d", "--since", "1d").returncode == 0


def _ranges(cli: CommandLine, *arguments: str, grace: str = "0s") -> list[tuple[int, int]]:
    found = json.loads(cli("audit", "--json", "--grace", grace, *arguments).stdout)
    return [(gap["first"], gap["last"]) for each in found["findings"] for gap in each["gaps"]]


def _iso(moment: float) -> str:
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
    return f"{whole}.{int(moment * 1000) % 1000:03}Z"


def _line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()
