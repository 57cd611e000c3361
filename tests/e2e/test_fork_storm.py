"""Forks while other threads hold locks: no child hangs, and each child's events arrive once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from sessionfold_schemas import decode
from tests.e2e.conftest import ROOT
from tests.services.kafka import Broker
from tests.services.topics import read_all

pytestmark = pytest.mark.kafka

FORKS = 24
SOAK_FORKS = 500

CHILDS_EVENTS = [
    {"is_finished": False, "task": True},
    {"task": True},
    {"task": True, "session_eval": 1.0},
    {"is_finished": True},
]


def test_forks_while_threads_hold_locks(broker: Broker, topic: str, tmp_path: Path) -> None:
    """Of logging, the collector and the SDK; the children report and end in four ways."""
    _storm(FORKS, broker, topic, tmp_path)


@pytest.mark.soak
def test_five_hundred_forks(broker: Broker, topic: str, tmp_path: Path) -> None:
    """The long form."""
    _storm(SOAK_FORKS, broker, topic, tmp_path)


def _storm(forks: int, broker: Broker, topic: str, spool: Path) -> None:
    accounts = _run(forks, broker, topic, spool)
    assert accounts["codes"] == [0] * forks
    events = [decode(each.value, key=each.key)[1] for each in read_all(broker, topic)]
    by_session: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for event in events:
        by_session[event["session_id"]].append(event)
    reporting = [number for number in range(forks) if number % 4]
    for number in reporting:
        assert _told(by_session[f"child-{number}"], f"child-{number}") == CHILDS_EVENTS
    children = {name for name in by_session if name.startswith("child-")}
    assert children == {f"child-{number}" for number in reporting}
    _check_parents(by_session["parent"], events, reporting, accounts)
    assert [path for path in spool.rglob("*") if path.is_file() and path.stat().st_size] == []


def _check_parents(
    parents: list[dict[str, Any]],
    events: list[dict[str, Any]],
    reporting: list[int],
    accounts: dict[str, Any],
) -> None:
    """The parent's session has one event of each child; the parent's own are all there, once."""
    (producer,) = {event["producer_id"] for event in parents if event["started_at"] is not None}
    of_children = sorted(e["task"] for e in parents if e["producer_id"] != producer)
    assert of_children == sorted(f"child-{number}" for number in reporting)
    numbers = sorted(event["sequence"] for event in events if event["producer_id"] == producer)
    assert numbers == list(range(accounts["accepted"] - accounts["coalesced"]))
    assert accounts["delivered"] == accounts["accepted"]
    assert accounts["dropped"] == accounts["spooled"] == accounts["in_flight"] == 0
    assert len({event["producer_id"] for event in events}) == 1 + len(reporting)


def _told(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return what was said of a child's session, in order; of a text, whether it is its name."""
    said = ("task", "session_eval", "is_finished")
    told = [{key: event[key] for key in said if event[key] is not None} for event in events]
    return [
        {key: value == name if key == "task" else value for key, value in each.items()}
        for each in told
    ]


def _run(forks: int, broker: Broker, topic: str, spool: Path) -> dict[str, Any]:
    settings = {
        "SESSIONFOLD_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "SESSIONFOLD_TOPIC": topic,
        "SESSIONFOLD_SPOOL_DIRECTORY": str(spool),
    }
    ended = subprocess.run(
        [sys.executable, "-m", "tests.e2e.fork_storm", str(forks)],
        cwd=ROOT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=300 + 3 * forks,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    accounts: dict[str, Any] = json.loads(ended.stdout)
    return accounts
