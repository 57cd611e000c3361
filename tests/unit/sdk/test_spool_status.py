"""What waits in the spool can be looked at, and nothing changes by that."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sessionfold._spooling.journal import Entry
from sessionfold._spooling.spool import Destination, list_files
from sessionfold_schemas import encode
from tests.unit.sdk.journals import entry, posix
from tests.unit.sdk.spools import left, spool


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A directory that is not there yet, nor the one above it."""
    return tmp_path / "state" / "spool"


def test_what_is_listed(where: Path) -> None:
    """Files of every destination, with what waits in them, whose they are and what is damaged."""
    then = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    path = left(where, event(1, then), entry(2), Entry(3, 7, b"k", b"v"), entry(4), entry(5))
    adopter = spool(where)
    [journal] = adopter.claim_orphans()
    journal.mark(0)
    adopter.close()
    os.truncate(path, path.stat().st_size - 60)
    elsewhere = spool(where, "q", Destination(topic="others", bootstrap_servers="b"))
    living = elsewhere.create(behind=(path.name,))
    before = {each: (each.read_bytes(), each.stat().st_mtime_ns) for each in where.iterdir()}
    found = {each.name: each for each in list_files(where)}
    assert before == {
        each: (each.read_bytes(), each.stat().st_mtime_ns) for each in where.iterdir()
    }
    gone = found[path.name]
    assert (gone.path, gone.size_bytes) == (path, path.stat().st_size)
    assert (gone.events, gone.calls) == (4, 1 + 1 + 7 + 1)
    assert (gone.oldest, gone.owner_alive) == (then, False)
    assert gone.damaged_bytes > 0
    assert gone.header.topic == "events"
    alive = found[living.path.name]
    assert (alive.events, alive.oldest, alive.owner_alive) == (0, None, True)
    assert (alive.damaged_bytes, alive.header.behind) == (0, (path.name,))
    living.append([entry(1)])
    os.truncate(living.path, living.path.stat().st_size - 1)
    [torn] = [each for each in list_files(where) if each.owner_alive]
    assert (torn.events, torn.damaged_bytes) == (0, 0)
    elsewhere.close()


def event(sequence: int, occurred_at: datetime) -> Entry:
    """A real event."""
    value = encode(
        {
            "session_id": "session",
            "occurred_at": int(occurred_at.timestamp() * 1e6),
            "producer_id": "p",
            "sequence": sequence,
            "lost_before": 0,
        }
    )
    return Entry(sequence, 1, b"session", value)


@posix
def test_what_is_no_file_is_left_out(where: Path) -> None:
    """A pipe or a link in a file's place is neither waited for nor followed."""
    path = left(where, entry(1))
    os.mkfifo(path.with_name(path.name.replace("gone", "pipe")))
    path.with_name(path.name.replace("gone", "link")).symlink_to(path)
    assert [each.path for each in list_files(where)] == [path]


def test_damage_set_aside_is_listed(where: Path) -> None:
    """What an adopter has set aside is still seen, and counted once."""
    path = left(where, entry(1), entry(2), entry(3))
    content = bytearray(path.read_bytes())
    content[-60] ^= 1
    path.write_bytes(content)
    [before] = list_files(where)
    adopter = spool(where)
    adopter.claim_orphans()
    adopter.close()
    [after] = list_files(where)
    assert before.damaged_bytes == after.damaged_bytes > 0
    assert before.events == after.events == 2
