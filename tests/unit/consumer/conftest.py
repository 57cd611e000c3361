"""The command line in this process, and a store to ask, filled through the real fold."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from click.testing import CliRunner, Result

import sessionfold_schemas as contract
from sessionfold_consumer.cli import main
from sessionfold_consumer.source import MemorySource
from sessionfold_consumer.store import open_store
from tests.unit.consumer.services import Topic, bound, new_service

SECOND = 1_000_000
START = 1_700_000_000 * SECOND
"""When the sessions of the filled store began: 2023-11-14T22:13:20Z, in microseconds."""

HIDING_ID = "gamma\u202e"
"""A session ID that the contract allows and a terminal would turn around."""


class CommandLine(Protocol):
    """Calls ``sessionfold`` in this process."""

    def __call__(self, *arguments: str, **environment: str) -> Result:
        """Run it with these arguments and environment variables."""


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> Iterator[CommandLine]:
    """The command line; what it does to logging is undone."""
    ours, kafka = (logging.getLogger(f"sessionfold_consumer{name}") for name in ("", ".kafka"))
    before = (ours.handlers[:], ours.propagate, ours.level, kafka.disabled)
    monkeypatch.delenv("SESSIONFOLD_STORE", raising=False)

    def call(*arguments: str, **environment: str) -> Result:
        return CliRunner().invoke(main, arguments, env=environment)

    yield call
    ours.handlers[:], ours.propagate, level, kafka.disabled = before
    ours.setLevel(level)


@pytest.fixture
def empty_store(tmp_path: Path) -> str:
    """The URL of a store that a service has bound and nothing was folded into."""
    return filled(tmp_path, Topic())


@pytest.fixture
def store(tmp_path: Path) -> str:
    """The URL of a store with three sessions and two dead letters."""
    topic = Topic()
    topic.append(
        [
            event(
                0,
                "alpha",
                0,
                session_name="Support",
                task="Understand",
                started_at=START,
                agent_id="support",
                tags=["vip", "é"],
            ),
            event(1, "beta", 10, session_name="Training", task="é", session_eval=-0.0),
            event(0, "alpha", 20, task="Resolve", session_eval=0.25, lost_before=2),
            event(1, "beta", 30, is_successful=True, is_successful_reason="all\nof it"),
            event(1, "beta", 40, is_finished=True, ended_at=START + 40 * SECOND),
            event(
                2, HIDING_ID, 50, task="\x1b]0;title\x07\u2066", is_finished=False, tags=["\x1b[2J"]
            ),
            (2, (b"delta", None)),
        ]
    )
    topic.log.append(2, b"\xff", b"no event", [("trace", b"1"), ("null", None)])
    return filled(tmp_path, topic)


def event(partition: int, session_id: str, second: int, **fields: Any) -> Any:  # noqa: ANN401
    """Return a session's event, so many seconds after the start, for a topic to append."""
    given = {
        "session_id": session_id,
        "occurred_at": START + second * SECOND,
        "producer_id": "p",
        "sequence": second,
        "lost_before": 0,
    }
    return partition, (session_id.encode(), contract.encode(given | fields))


def filled(folder: Path, topic: Topic) -> str:
    """Fold a topic into a new store of a folder, and return the store's URL."""
    url = f"sqlite:///{folder / 'sessions.db'}"
    opened = bound(open_store(url))
    try:
        new_service(MemorySource(topic.log), opened, until=topic.ends()).run()
    finally:
        opened.close()
    return url
