"""The commands that read a store: list, show, dead-letters, store dump."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from sessionfold_consumer.store import dump, open_store
from tests.unit.consumer.conftest import HIDING_ID, SECOND, START, CommandLine, event, filled
from tests.unit.consumer.services import Topic

KEYS = [
    "session_id",
    "session_name",
    "task",
    "session_eval",
    "session_eval_reason",
    "is_successful",
    "is_successful_reason",
    "is_finished",
    "started_at",
    "ended_at",
    "agent_id",
    "experiment_id",
    "datasetitem_id",
    "tags",
    "first_occurred_at",
    "last_occurred_at",
    "lost_before",
    "partition",
    "first_offset",
    "last_offset",
    "event_count",
    "dead_letters",
]
"""What JSON of a session has, always."""

ALPHA = {
    "session_id": "alpha",
    "session_name": "Support",
    "task": "Resolve",
    "session_eval": 0.25,
    "session_eval_reason": None,
    "is_successful": None,
    "is_successful_reason": None,
    "is_finished": None,
    "started_at": "2023-11-14T22:13:20.000000Z",
    "ended_at": None,
    "agent_id": "support",
    "experiment_id": None,
    "datasetitem_id": None,
    "tags": ["vip", "é"],
    "first_occurred_at": "2023-11-14T22:13:20.000000Z",
    "last_occurred_at": "2023-11-14T22:13:40.000000Z",
    "lost_before": 2,
    "partition": 0,
    "first_offset": 0,
    "last_offset": 1,
    "event_count": 2,
    "dead_letters": 0,
}


def test_show_prints_one_session_as_json(cli: CommandLine, store: str) -> None:
    """One key for each state field, null when not set, and those of the fold."""
    result = cli("show", "alpha", "--json", "--store", store)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == ALPHA
    assert list(json.loads(result.stdout)) == KEYS


def test_list_prints_one_array(cli: CommandLine, store: str) -> None:
    """Those that were last heard of first, each as show prints it."""
    states = json.loads(cli("list", "--json", "--store", store).stdout)
    assert [state["session_id"] for state in states] == [HIDING_ID, "beta", "alpha"]
    assert states[2] == ALPHA
    assert all(list(state) == KEYS for state in states)
    assert states[1]["session_eval"] == 0.0
    assert states[1]["is_finished"] is True


def test_the_store_may_come_from_the_environment(cli: CommandLine, store: str) -> None:
    """As every common option; the option wins."""
    assert json.loads(cli("show", "alpha", "--json", SESSIONFOLD_STORE=store).stdout) == ALPHA
    ended = cli("show", "alpha", "--store", "sqlite:///nowhere.db", SESSIONFOLD_STORE=store)
    assert ended.exit_code == 9


@pytest.mark.parametrize("arguments", [["list", "--json"], ["dead-letters", "list", "--json"]])
def test_an_empty_store_gives_an_empty_array(
    cli: CommandLine, empty_store: str, arguments: list[str]
) -> None:
    """A program that reads it needs no special case."""
    result = cli(*arguments, "--store", empty_store)
    assert (result.exit_code, json.loads(result.stdout)) == (0, [])


def test_an_empty_store_has_an_empty_table(cli: CommandLine, empty_store: str) -> None:
    """People see the headers, or a sentence."""
    assert cli("list", "--store", empty_store).stdout.split()[:2] == ["SESSION", "NAME"]
    letters = cli("dead-letters", "list", "--store", empty_store).stdout
    assert letters == "no record is set aside\n"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--active"], [HIDING_ID, "alpha"]),
        (["--finished"], ["beta"]),
        (["--limit", "2"], [HIDING_ID, "beta"]),
        (["--active", "--limit", "1"], [HIDING_ID]),
        (["--stale", "1s"], [HIDING_ID, "alpha"]),
        (["--stale", "99999d"], []),
        (["--stale", "999999999d"], []),
        (["--limit", "1000000000"], [HIDING_ID, "beta", "alpha"]),
    ],
)
def test_list_selects(
    cli: CommandLine, store: str, options: list[str], expected: list[str]
) -> None:
    """A session is active until it has said that it is finished; stale ones are active."""
    states = json.loads(cli("list", *options, "--json", "--store", store).stdout)
    assert [state["session_id"] for state in states] == expected


def test_stale_goes_by_the_last_event(cli: CommandLine, tmp_path: Path) -> None:
    """By the worker's clock: heard of a minute ago is stale after 30 seconds, not after an hour."""
    topic = Topic()
    second = (time.time_ns() // 1000 - START) // SECOND - 60
    topic.append([event(0, "quiet", second)])
    url = filled(tmp_path, topic)
    assert len(json.loads(cli("list", "--stale", "30s", "--json", "--store", url).stdout)) == 1
    assert json.loads(cli("list", "--stale", "1h", "--json", "--store", url).stdout) == []


@pytest.mark.parametrize("status", ["--active", "--finished"])
def test_stale_is_about_open_sessions(cli: CommandLine, store: str, status: str) -> None:
    """With another status it would mean two things."""
    result = cli("list", "--stale", "2h", status, "--store", store)
    assert result.exit_code == 2
    assert "--stale is about open sessions" in result.stderr


@pytest.mark.parametrize("age", ["", "2", "h", "2 h", "-2h", "1.5h", "2w", "2h\n"])
def test_an_age_is_a_number_with_a_unit(cli: CommandLine, store: str, age: str) -> None:
    """Anything else is refused with what is accepted."""
    result = cli("list", f"--stale={age}", "--store", store)
    assert result.exit_code == 2
    assert "write it as 90s, 15m, 2h or 7d" in " ".join(result.stderr.split())


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1000000001", "99999999999999999999"])
def test_a_limit_is_a_positive_number(cli: CommandLine, store: str, limit: str) -> None:
    """Zero would show nothing, which is never what is meant."""
    assert cli("list", "--limit", limit, "--store", store).exit_code == 2
    assert cli("dead-letters", "list", "--limit", limit, "--store", store).exit_code == 2


def test_a_table_shows_whole_values_where_there_is_no_terminal(
    cli: CommandLine, store: str
) -> None:
    """Nothing is cut in a pipe, and nothing moves a terminal that the pipe ends in."""
    lines = cli("list", "--store", store).stdout.splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("gamma\\u202e")
    assert "\\x1b]0;title\\x07\\u2066" in lines[1]
    assert lines[2].split()[:5] == ["beta", "Training", "é", "0", "succeeded"]
    assert lines[3].split()[:7] == ["alpha", "Support", "Resolve", "0.25", "open", "(2", "lost)"]


def test_show_says_which_record_set_each_field(cli: CommandLine, store: str) -> None:
    """Partition and offset beside each value; a dash for what was never given."""
    text = cli("show", "alpha", "--store", store).stdout
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines()}
    assert list(lines) == [*KEYS[:17], "event_count", "partition", "first_offset", "last_offset"]
    assert lines["task"] == ["Resolve", "(set", "by", "0:1)"]
    assert lines["session_name"] == ["Support", "(set", "by", "0:0)"]
    assert lines["session_eval_reason"] == ["-"]
    assert lines["tags"] == ['["vip",', '"é"]', "(set", "by", "0:0)"]
    assert lines["lost_before"] == ["2"]


def test_no_output_moves_a_terminal(cli: CommandLine, store: str) -> None:
    """Controls in IDs and texts are written out, for people and in JSON alike."""
    for arguments in (
        ["show", HIDING_ID],
        ["show", HIDING_ID, "--json"],
        ["list"],
        ["list", "--json"],
        ["dead-letters", "list"],
        ["dead-letters", "show", "2:2"],
    ):
        result = cli(*arguments, "--store", store)
        assert result.exit_code == 0
        assert all(line.isprintable() for line in result.stdout.split("\n")), arguments


@pytest.mark.parametrize("session_id", ["nobody", "Alpha", "alpha ", "", "\udcff", "x\x1b[2J"])
def test_an_unknown_session_has_its_own_exit_code(
    cli: CommandLine, store: str, session_id: str
) -> None:
    """IDs are compared as they are; one that cannot exist is not there either."""
    result = cli("show", session_id, "--store", store)
    assert result.exit_code == 13
    assert result.stderr.startswith("sessionfold: there is no session ")
    assert result.stderr.rstrip("\n").isprintable()
    assert result.stdout == ""


def test_a_session_on_two_partitions_is_pointed_out(cli: CommandLine, tmp_path: Path) -> None:
    """Shown is the row with the last event; stdout stays one JSON value."""
    topic = Topic()
    topic.append([event(0, "split", 5, task="early"), event(1, "split", 9, task="late")])
    url = filled(tmp_path, topic)
    result = cli("show", "split", "--json", "--store", url)
    assert json.loads(result.stdout)["task"] == "late"
    assert "partitions 0, 1" in result.stderr
    assert "murmur2" in result.stderr


def test_dead_letters_are_listed_by_place(cli: CommandLine, store: str) -> None:
    """For people a line each, as JSON all that Kafka had, bytes in hex."""
    text = cli("dead-letters", "list", "--store", store).stdout.splitlines()
    assert [line.split(":")[0:2] for line in text] == [
        ["2", "1  empty_value"],
        ["2", "2  not_single_object"],
    ]
    first, second = json.loads(cli("dead-letters", "list", "--json", "--store", store).stdout)
    assert (first["partition"], first["offset"], first["key"]) == (2, 1, b"delta".hex())
    assert first["value"] is None
    assert second == {
        "partition": 2,
        "offset": 2,
        "status": "open",
        "session_id": None,
        "timestamp": 2,
        "reason": "not_single_object",
        "detail": second["detail"],
        "key": "ff",
        "value": b"no event".hex(),
        "headers": [["trace", "31"], ["null", None]],
    }
    limited = cli("dead-letters", "list", "--limit", "1", "--json", "--store", store).stdout
    assert json.loads(limited) == [first]


def test_one_dead_letter_is_shown_whole(cli: CommandLine, store: str) -> None:
    """By its place in the log; null is told from an empty value."""
    text = cli("dead-letters", "show", "2:1", "--store", store).stdout
    lines = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert lines["reason"] == "empty_value"
    assert lines["value"] == "null"
    assert lines["timestamp"] == "1970-01-01T00:00:00.001000Z"
    letters = json.loads(cli("dead-letters", "list", "--json", "--store", store).stdout)
    shown = json.loads(cli("dead-letters", "show", "2:1", "--json", "--store", store).stdout)
    assert shown == letters[0]


@pytest.mark.parametrize("place", ["2:0", "0:1", "99999999999999999999:1"])
def test_an_unknown_dead_letter_has_its_own_exit_code(
    cli: CommandLine, store: str, place: str
) -> None:
    """A record that was folded is none."""
    result = cli("dead-letters", "show", place, "--store", store)
    assert result.exit_code == 13
    assert f"there is no dead letter {place} in" in result.stderr


@pytest.mark.parametrize("place", ["", "2", "2:", ":1", "2:x", "-1:2", "2:1:0"])
def test_a_place_is_a_partition_and_an_offset(cli: CommandLine, store: str, place: str) -> None:
    """Anything else is refused with an example."""
    result = cli("dead-letters", "show", "--store", store, "--", place)
    assert result.exit_code == 2
    assert "write it as 3:1042" in " ".join(result.stderr.split())


def test_a_dump_is_the_canonical_one(cli: CommandLine, store: str, tmp_path: Path) -> None:
    """To stdout or to a file, byte for byte."""
    with closing(open_store(store, read_only=True)) as opened:
        expected = "".join(f"{line}\n" for line in dump(opened))
    assert cli("store", "dump", "--store", store).stdout == expected
    target = tmp_path / "dump.jsonl"
    assert cli("store", "dump", "--store", store, "--output", str(target)).exit_code == 0
    assert target.read_text(encoding="utf-8") == expected


def test_a_pipe_is_written_to_and_not_replaced(
    cli: CommandLine, store: str, tmp_path: Path
) -> None:
    """As any device; and a link stays one, to a file that has the dump."""
    pipe, link, target = tmp_path / "pipe", tmp_path / "link", tmp_path / "dump.jsonl"
    os.mkfifo(pipe)
    link.symlink_to(target)
    with ThreadPoolExecutor() as executor:
        read = executor.submit(pipe.read_text, "utf-8")
        assert cli("store", "dump", "--store", store, "--output", str(pipe)).exit_code == 0
    assert cli("store", "dump", "--store", store, "--output", str(link)).exit_code == 0
    assert (
        read.result() == target.read_text("utf-8") == cli("store", "dump", "--store", store).stdout
    )
    assert pipe.is_fifo()
    assert link.is_symlink()


def test_a_dump_that_fails_leaves_an_older_one(cli: CommandLine, tmp_path: Path) -> None:
    """The file is replaced when the dump is whole; a store that breaks off half-way leaves it."""
    topic = Topic()
    topic.append([event(0, f"session-{number:04}", number) for number in range(1000)])
    url = filled(tmp_path, topic)
    damaged = tmp_path / "sessions.db"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: len(content) // 2] + bytes(len(content) // 2))
    target = tmp_path / "dump.jsonl"
    target.write_text("the older one")
    result = cli("store", "dump", "--store", url, "--output", str(target))
    assert result.exit_code == 9
    assert "malformed" in result.stderr
    assert target.read_text() == "the older one"
    assert [each.name for each in tmp_path.glob(".*")] == []
    assert cli("store", "dump", "--store", url).stdout.startswith('{"kind":"store"')
