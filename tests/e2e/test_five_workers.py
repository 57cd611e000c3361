"""Five real workers → a real broker → the service → a store → answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests import oracle
from tests.e2e.conftest import ROOT, CommandLine, store_url
from tests.services.kafka import Broker
from tests.services.topics import read_all

pytestmark = pytest.mark.kafka

WORKERS = ("support", "training", "pipeline", "long_job", "qa")


def _report(cli: CommandLine) -> list[str]:
    """Run the five workers as they stand, one after the other; return their sessions' IDs."""
    ids = []
    for worker in WORKERS:
        ended = cli.program(ROOT / "examples" / f"{worker}.py")
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr == ""
        ids.append(ended.stdout.splitlines()[0].removeprefix("session "))
    return ids


def test_show_gives_what_a_plain_fold_gives(broker: Broker, topic: str, cli: CommandLine) -> None:
    """For each session, each field, count and offset; and `list` gives the same."""
    ids = _report(cli)
    cli.good("run", "--until-caught-up")
    expected = oracle.fold(read_all(broker, topic)).states
    assert {session_id for session_id, _ in expected} == set(ids)
    shown = {each: json.loads(cli.good("show", each, "--json")) for each in ids}
    for state in expected.values():
        assert shown[state["session_id"]] == {**_as_json(state), "dead_letters": 0}
    listed = json.loads(cli.good("list", "--json"))
    assert sorted(listed, key=_id) == sorted(shown.values(), key=_id)


def test_the_same_topic_folded_twice_gives_the_same_bytes(cli: CommandLine, folder: Path) -> None:
    """Two fresh files, whatever the batches: their dumps are equal."""
    _report(cli)
    dumps = []
    for number, batch_records in enumerate(("50000", "3")):
        url = store_url(folder / f"{number}.db")
        cli.good("run", "--until-caught-up", "--store", url, "--batch-records", batch_records)
        dumps.append(cli.good("store", "dump", "--store", url))
    assert dumps[0] == dumps[1]
    assert dumps[0].count('"kind":"state"') == len(WORKERS)


def test_a_second_run_goes_on_where_the_first_ended(
    broker: Broker, topic: str, cli: CommandLine
) -> None:
    """Nothing is folded twice: the counts are those of the log."""
    for _ in range(2):
        _report(cli)
        cli.good("run", "--until-caught-up")
    states = json.loads(cli.good("list", "--json"))
    records = read_all(broker, topic)
    assert len(states) == 2 * len(WORKERS)
    assert sum(state["event_count"] for state in states) == len(records)


def test_people_can_read_it(cli: CommandLine) -> None:
    """The table and the single session name what the worker said."""
    support, *_ = _report(cli)
    cli.good("run", "--until-caught-up")
    table = cli.good("list")
    assert "Customer Support" in table
    assert table.count("succeeded") + table.count("failed") == len(WORKERS)
    shown = cli.good("show", support)
    assert "is_successful         yes" in shown
    assert "(set by " in shown


def test_a_caller_without_init_is_told_so(cli: CommandLine) -> None:
    """The sixth program updates without a session, and lives on."""
    ended = cli.program(ROOT / "examples" / "no_session.py")
    assert ended.returncode == 0
    assert "no session is active" in ended.stdout


def _id(state: dict[str, Any]) -> str:
    return str(state["session_id"])


def _as_json(state: dict[str, Any]) -> dict[str, Any]:
    """Return the oracle's state as the command line shows it."""
    from datetime import UTC, datetime, timedelta

    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    shown = {}
    for name, value in state.items():
        if name.endswith("_offset") and name not in ("first_offset", "last_offset"):
            continue
        if name.endswith("_at") and value is not None:
            moment = epoch + timedelta(microseconds=value)
            shown[name] = moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        else:
            shown[name] = value
    return shown
