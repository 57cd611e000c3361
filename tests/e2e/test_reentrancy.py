"""Calls that break into other calls: log handlers, finalizers, signals, callbacks, Ctrl+C.

Whatever breaks in, wherever: nothing hangs, every update is accounted for at every moment, and no
event is on another session than the one it was meant for. With a broker, and with none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sessionfold_schemas import decode
from tests.e2e.processes import NOWHERE, ended
from tests.services.kafka import Broker
from tests.services.topics import read_all

pytestmark = pytest.mark.kafka

SECONDS = 0.5
SOAK_SECONDS = 300.0
SMALL: dict[str, Any] = {"queue_events": "200", "spool_megabytes": "1"}
"""So that the queue and the spool are full at times."""

KINDS = ("logs", "finalizers", "signals", "masks", "failures")
WITHOUT = (
    ("logs", "spool"),
    ("finalizers", "drop"),
    ("signals", "spool"),
    ("signals", "block"),
    ("masks", "spool"),
    ("failures", "drop"),
    ("interrupts", "spool"),
    ("interrupts", "drop"),
    ("interrupts", "block"),
)


@pytest.mark.parametrize("kind", [*KINDS, "interrupts"])
def test_with_a_broker(kind: str, broker: Broker, topic: str, tmp_path: Path) -> None:
    """Everything is delivered, on the sessions that were meant."""
    accounts = disturbed(
        kind, flush_seconds=30.0, servers=broker.bootstrap_servers, topic=topic, spool=tmp_path
    )
    assert accounts["flushed"]
    assert accounts["delivered"] == accounts["accepted"] > accounts["rounds"] > 0
    assert len(checked_records(broker, topic)) == accounts["delivered"] - accounts["coalesced"]


@pytest.mark.parametrize(("kind", "on_full"), WITHOUT)
def test_without_a_broker(kind: str, on_full: str, tmp_path: Path) -> None:
    """Everything is spooled or dropped, and counted."""
    accounts = disturbed(
        kind, servers=NOWHERE, spool=tmp_path, on_full=on_full, block_seconds="0.01", **SMALL
    )
    assert not accounts["flushed"]
    assert accounts["accepted"] == accounts["spooled"] + accounts["dropped"] > accounts["rounds"]
    assert bool(accounts["spooled"]) == (on_full == "spool")


def test_all_at_once(broker: Broker, topic: str, tmp_path: Path) -> None:
    """On a small queue: some updates are coalesced, spooled or dropped, and all are counted."""
    accounts = disturbed(
        *KINDS,
        flush_seconds=30.0,
        servers=broker.bootstrap_servers,
        topic=topic,
        spool=tmp_path,
        queue_events="200",
    )
    settled = accounts["delivered"] + accounts["spooled"] + accounts["dropped"]
    assert settled == accounts["accepted"] > accounts["dropped"]
    checked_records(broker, topic)


@pytest.mark.soak
def test_five_minutes_with_a_broker(broker: Broker, topic: str, tmp_path: Path) -> None:
    """All at once, for so long."""
    servers = broker.bootstrap_servers
    disturbed(*KINDS, seconds=SOAK_SECONDS, servers=servers, topic=topic, spool=tmp_path, **SMALL)
    checked_records(broker, topic)


@pytest.mark.soak
@pytest.mark.parametrize("kinds", [KINDS, ("interrupts", "logs", "finalizers")], ids=str)
@pytest.mark.parametrize("on_full", ["spool", "block", "drop"])
def test_five_minutes_without_a_broker(
    kinds: tuple[str, ...], on_full: str, tmp_path: Path
) -> None:
    """All at once, for so long."""
    disturbed(
        *kinds, seconds=SOAK_SECONDS, servers=NOWHERE, spool=tmp_path, on_full=on_full, **SMALL
    )


def disturbed(
    *kinds: str,
    seconds: float = SECONDS,
    flush_seconds: float = 0.1,
    **settings: Any,  # noqa: ANN401 - settings of the SDK
) -> dict[str, Any]:
    """Run the worker of ``disturbances.py``; return its accounts, which balanced all the time."""
    command = ["-m", "tests.e2e.disturbances", str(seconds), str(flush_seconds), *kinds]
    accounts: dict[str, Any] = json.loads(
        ended(command, timeout_seconds=seconds + 100.0, settings=settings)
    )
    assert accounts["unbalanced"] == 0
    assert accounts["in_flight"] == 0
    return accounts


def checked_records(broker: Broker, topic: str) -> list[dict[str, Any]]:
    """Return the events of a topic; each text is the session that it is about."""
    events = [decode(each.value, key=each.key)[1] for each in read_all(broker, topic)]
    texts = [(event["session_id"], event["task"]) for event in events if event["task"] is not None]
    assert [each for each in texts if each[0] != each[1]] == []
    return events
