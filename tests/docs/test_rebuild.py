"""What docs/rebuild.md shows is what the commands print, one after the other."""

from __future__ import annotations

import json
import re
import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.docs import markdown
from tests.e2e.conftest import SESSIONFOLD, CommandLine, store_url
from tests.services.kafka import Broker
from tests.services.topics import append, create_topic, unique_topic_name
from tests.unit.consumer.conftest import START, event

pytestmark = pytest.mark.kafka

_PAGE = markdown.ROOT / "docs" / "rebuild.md"
_CHANGING = [
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"^topic .*", re.MULTILINE), "TOPIC"),
    (re.compile(r"\([0-9a-f]{12}\)"), "(DIGEST)"),
    (re.compile(r"digest [0-9a-f]{16}"), "digest DIGEST"),
]

_EVENTS: tuple[dict[str, Any], ...] = (
    {"session_name": "Customer Support", "task": "Handle customer inquiry", "is_finished": False,
     "started_at": START},
    {"session_eval": 0.4},
    {"task": "Resolve billing dispute"},
    {"is_successful": True, "is_finished": True},
)  # fmt: skip


@pytest.fixture
def cli(broker: Broker, tmp_path: Path) -> CommandLine:
    """The command line with one session, of which a value was changed by hand."""
    topic, store = unique_topic_name(), tmp_path / "sessions.db"
    create_topic(broker, topic, partitions=2)
    append(broker, topic, _records(), partition=0)
    cli = CommandLine(
        {
            "SESSIONFOLD_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "SESSIONFOLD_TOPIC": topic,
            "SESSIONFOLD_STORE": store_url(store),
        }
    )
    cli.good("run", "--until-caught-up")
    with closing(sqlite3.connect(store)) as database, database:
        database.execute("UPDATE session_state_a SET task = 'by hand'")
    contract = json.loads(
        resources.files("sessionfold_schemas").joinpath("session_updated.avsc").read_text()
    )
    [task] = [each for each in contract["fields"] if each["name"] == "task"]
    task["fold"] = "first"
    (tmp_path / "first-task.avsc").write_text(json.dumps(contract))
    return cli


def _records() -> Iterator[tuple[bytes, bytes]]:
    for number, fields in enumerate(_EVENTS):
        _, record = event(0, "refund-7", number, **fields)
        yield record


def test_it_prints_what_is_shown(cli: CommandLine, tmp_path: Path) -> None:
    """Each block of commands in turn; the output that follows is that of its last one."""
    blocks = [*markdown.blocks(_PAGE), None]
    shown_outputs = 0
    for typed, following in pairwise(blocks):
        assert typed is not None
        if typed.language != "sh":
            continue
        printed = ""
        for line in typed.text.splitlines():
            printed = _run(cli, line, tmp_path)
        if following is not None and following.language == "text":
            assert _comparable(printed) == _comparable(following.text), typed.place
            shown_outputs += 1
    assert shown_outputs > 9


def _run(cli: CommandLine, line: str, folder: Path) -> str:
    _, *arguments = shlex.split(line)
    ended = subprocess.run(
        [SESSIONFOLD, *arguments],
        cwd=folder,
        env=cli.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    differs = re.search(r"would change:|^[1-9]\d* sessions? differs?$", ended.stdout, re.MULTILINE)
    is_refused = differs and "--yes" not in arguments
    assert ended.returncode == (20 if is_refused else 0), ended.stderr
    return ended.stdout


def _comparable(text: str) -> list[str]:
    for pattern, plain in _CHANGING:
        text = pattern.sub(plain, text)
    return text.splitlines()
