"""What becomes of dead letters: retried, dropped, exported; and how their sessions are marked."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sessionfold_consumer.dead_letters import portions
from sessionfold_consumer.store import FATAL_REASON, DeadLetter, letter_fields, open_store
from tests.unit.consumer.conftest import CommandLine, event, filled
from tests.unit.consumer.services import Topic


def valid(partition: int, offset: int, session_id: str, **fields: Any) -> DeadLetter:  # noqa: ANN401
    """Return a dead letter that is a valid event, as an older program may have set aside."""
    _, (key, value) = event(partition, session_id, offset, **fields)
    return DeadLetter(
        partition=partition,
        offset=offset,
        timestamp=0,
        key=key,
        value=value,
        headers=(),
        reason="unknown_schema",
        detail="an older program",
    )


EARLY = valid(0, 1, "alpha", task="early", session_name="Support")
LATE = valid(0, 7, "alpha", task="late")
BROKEN = valid(1, 4, "beta")._replace(value=b"no event")
FATAL = valid(2, 9, "alpha")._replace(reason=FATAL_REASON)
EMPTY = valid(2, 3, "x\u202e")._replace(value=None, reason="empty_value")
LETTERS = [EARLY, LATE, BROKEN, EMPTY, FATAL]


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store in which alpha has one event, between two that were set aside; and three others."""
    topic = Topic()
    topic.log.mark(0)
    topic.log.mark(0)
    topic.append([event(0, "alpha", 2, task="middle"), event(1, "beta", 3)])
    url = filled(tmp_path, topic)
    with closing(open_store(url)) as store:
        store.commit([], [], LETTERS)
    return url


def statuses(url: str) -> dict[tuple[int, int], str]:
    """Return the status of each dead letter."""
    with closing(open_store(url, read_only=True)) as store:
        return {(each.partition, each.offset): each.status for each in store.dead_letters()}


def shown(cli: CommandLine, url: str, session_id: str = "alpha") -> dict[str, Any]:
    """Return a session as ``show --json`` has it."""
    found: dict[str, Any] = json.loads(cli("show", session_id, "--json", "--store", url).stdout)
    return found


def test_retry_folds_an_event_in_its_place(cli: CommandLine, url: str) -> None:
    """An old one fills what nothing newer has given, and a newer one wins."""
    result = cli("dead-letters", "retry", "0:1", "--store", url)
    assert (result.exit_code, result.stdout) == (0, "1 dead letter retried\n")
    state = shown(cli, url)
    assert (state["task"], state["session_name"], state["event_count"]) == ("middle", "Support", 2)
    assert cli("dead-letters", "retry", "0:7", "--store", url).exit_code == 0
    state = shown(cli, url)
    assert (state["task"], state["event_count"], state["first_offset"]) == ("late", 3, 1)
    assert statuses(url) == {(0, 1): "retried", (0, 7): "retried"} | dict.fromkeys(
        [(1, 4), (2, 3), (2, 9)], "open"
    )


def test_what_is_still_refused_stays_open(cli: CommandLine, url: str) -> None:
    """Its own exit code, and why; the others are folded all the same."""
    result = cli("dead-letters", "retry", "--reason", "unknown_schema", "--store", url)
    assert result.exit_code == 21
    assert result.stdout.splitlines() == [
        "2 dead letters retried",
        "1 dead letter refused again: not_single_object",
    ]
    assert "1 dead letter of 3 is still no valid event" in result.stderr
    again = cli("dead-letters", "retry", "--reason", "unknown_schema", "--store", url)
    assert (again.exit_code, again.stdout.splitlines()[0]) == (21, "0 dead letters retried")
    assert statuses(url)[1, 4] == "open"
    assert shown(cli, url)["event_count"] == 3


def test_all_leaves_out_what_ended_processes(cli: CommandLine, url: str) -> None:
    """It might end this one; who names it wants that."""
    result = cli("dead-letters", "retry", "--all", "--store", url)
    assert result.exit_code == 21
    assert statuses(url)[2, 9] == "open"
    result = cli("dead-letters", "retry", "--reason", "fatal", "--store", url)
    assert (result.exit_code, statuses(url)[2, 9]) == (0, "retried")


def test_nothing_to_retry_is_no_error(cli: CommandLine, url: str) -> None:
    """So it may run after every upgrade."""
    result = cli("dead-letters", "retry", "--reason", "too_large", "--store", url)
    assert (result.exit_code, result.stdout) == (0, "0 dead letters retried\n")


@pytest.mark.parametrize("command", ["retry", "drop"])
@pytest.mark.parametrize(
    "choice", [[], ["0:1", "--all"], ["--all", "--reason", "malformed"], ["0:1", "--reason=fatal"]]
)
def test_one_way_of_choosing_is_used(
    cli: CommandLine, url: str, command: str, choice: list[str]
) -> None:
    """Nothing is changed by a command that may mean two things, or everything."""
    result = cli("dead-letters", command, *choice, "--store", url)
    assert result.exit_code == 2
    assert "name places (as 3:1042), or give --all, or --reason" in result.stderr
    assert set(statuses(url).values()) == {"open"}


@pytest.mark.parametrize("command", [["retry"], ["drop", "--yes"]])
def test_a_place_that_is_not_open_is_said(cli: CommandLine, url: str, command: list[str]) -> None:
    """Before anything is done with the other places."""
    assert cli("dead-letters", "drop", "0:7", "--yes", "--store", url).exit_code == 0
    before = statuses(url)
    for place, what in (("9:9", "no dead letter 9:9"), ("0:7", "no open dead letter 0:7")):
        result = cli("dead-letters", *command, "0:1", place, "--store", url)
        assert result.exit_code == 13
        assert what in result.stderr
    assert statuses(url) == before


def test_drop_gives_up_and_keeps_the_record(cli: CommandLine, url: str) -> None:
    """It is listed as dropped, with all that Kafka had."""
    result = cli("dead-letters", "drop", "--reason", "empty_value", "--yes", "--store", url)
    assert (result.exit_code, result.stdout) == (0, "1 dead letter dropped\n")
    dropped = json.loads(
        cli("dead-letters", "list", "--status", "dropped", "--json", "--store", url).stdout
    )
    assert dropped == [letter_fields(EMPTY._replace(status="dropped"))]
    assert cli("dead-letters", "retry", "2:3", "--store", url).exit_code == 13


def test_drop_asks_and_without_a_terminal_refuses(cli: CommandLine, url: str) -> None:
    """Nothing is dropped by a script that does not say so."""
    result = cli("dead-letters", "drop", "--all", "--store", url)
    assert result.exit_code == 2
    assert "5 dead letters would be dropped, and nobody can be asked; give --yes" in result.stderr
    assert set(statuses(url).values()) == {"open"}


def test_a_listing_is_by_status_and_reason(cli: CommandLine, url: str) -> None:
    """Open ones when nothing is said; a status that is not open is shown."""
    cli("dead-letters", "drop", "0:1", "--yes", "--store", url)
    cli("dead-letters", "retry", "0:7", "--store", url)

    def places(*options: str) -> list[str]:
        lines = cli("dead-letters", "list", *options, "--store", url).stdout.splitlines()
        return [line.rpartition(":")[0] for line in lines]

    assert places() == ["1:4  unknown_schema", "2:3  empty_value", "2:9  fatal"]
    assert places("--reason", "fatal") == ["2:9  fatal"]
    assert places("--status", "dropped") == ["0:1  dropped  unknown_schema"]
    assert places("--status", "all", "--reason", "unknown_schema", "--limit", "2") == [
        *("0:1  dropped  unknown_schema", "0:7  retried  unknown_schema"),
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "no record is set aside"),
        (["--status", "retried"], "no dead letter was retried"),
        (["--status", "dropped"], "no dead letter was dropped"),
        (["--status", "all"], "no record was set aside"),
        (["--reason", "fatal"], "there is no such dead letter"),
    ],
)
def test_an_empty_listing_is_a_sentence(
    cli: CommandLine, empty_store: str, options: list[str], said: str
) -> None:
    """It says of what there is none."""
    result = cli("dead-letters", "list", *options, "--store", empty_store)
    assert (result.exit_code, result.stdout) == (0, f"{said}\n")


def test_an_export_has_a_line_for_each(cli: CommandLine, url: str, tmp_path: Path) -> None:
    """Whole, in the order of the log, chosen as in a listing; to stdout or a file."""
    expected = [letter_fields(each) for each in (EARLY, LATE, BROKEN, EMPTY, FATAL)]
    text = cli("dead-letters", "export", "--store", url).stdout
    assert [json.loads(line) for line in text.splitlines()] == expected
    target = tmp_path / "letters.jsonl"
    options = ["--reason", "fatal", "--status", "all", "--output", str(target)]
    assert cli("dead-letters", "export", *options, "--store", url).exit_code == 0
    assert [json.loads(line) for line in target.read_text().splitlines()] == expected[4:]


def test_an_export_moves_no_terminal(cli: CommandLine, url: str) -> None:
    """A key may hold what a terminal acts on; JSON escapes it."""
    text = cli("dead-letters", "export", "--store", url).stdout
    assert all(line.isprintable() for line in text.split("\n"))
    assert "x\\u202e" in text


def test_a_session_with_a_dead_letter_is_marked(cli: CommandLine, url: str) -> None:
    """In its partition, while it is open: for people where there is one, in JSON always."""
    assert shown(cli, url)["dead_letters"] == 2
    assert shown(cli, url, "beta")["dead_letters"] == 1
    text = cli("show", "alpha", "--store", url).stdout.splitlines()
    assert text[-1].split() == [
        *("dead_letters", "2", "(see:", "sessionfold", "dead-letters", "list)"),
    ]
    listing = cli("list", "--store", url).stdout
    assert "open (2 set aside)" in listing
    assert "open (1 set aside)" in listing
    cli("dead-letters", "retry", "0:1", "0:7", "--store", url)
    cli("dead-letters", "drop", "1:4", "--yes", "--store", url)
    assert shown(cli, url)["dead_letters"] == 0
    assert "dead_letters" not in cli("show", "alpha", "--store", url).stdout
    assert "set aside" not in cli("list", "--store", url).stdout
    found = json.loads(cli("list", "--json", "--store", url).stdout)
    assert [each["dead_letters"] for each in found] == [0, 0]


def test_portions_fit_into_memory() -> None:
    """Each is bounded in number and in bytes, however many letters there are; none is lost."""
    small = [EARLY._replace(offset=offset) for offset in range(25_000)]
    assert [len(each) for each in portions(small)] == [10_000, 10_000, 5_000]
    large = [EARLY._replace(offset=offset, value=bytes(2**20)) for offset in range(40)]
    assert [len(each) for each in portions(large)] == [16, 16, 8]
    assert [each for portion in portions(large) for each in portion] == large
    assert list(portions([])) == []
