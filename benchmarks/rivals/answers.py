"""The right answer: the last value of each field of each session, however it was folded."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.workload import Workload
from sessionfold_schemas import decode

FIELDS = (
    "session_name",
    "task",
    "session_eval",
    "session_eval_reason",
    "is_successful",
    "is_successful_reason",
    "is_finished",
)
"""What every rival folds, each by last value wins."""

_FLAGS = ("is_successful", "is_finished")


def digest(states: Iterable[Mapping[str, Any]]) -> str:
    """Return the SHA-256 of the states, the same for any order of sessions and fields.

    Args:
        states: ``session_id`` and ``FIELDS`` of each session, absent ones None; more is ignored.
    """
    lines = sorted(json.dumps([each["session_id"], *map(each.get, FIELDS)]) for each in states)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


@cache
def expected_digest(workload: Workload) -> str:
    """Return the digest of the plain fold of a workload's own records, in their order."""
    states: dict[str, dict[str, Any]] = {}
    for key, value in workload.records():
        _, event = decode(value, key=key)
        session_id = event["session_id"]
        state = states.setdefault(session_id, {"session_id": session_id})
        state.update((name, event[name]) for name in FIELDS if event[name] is not None)
    return digest(states.values())


def sqlite_states(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the states of a file whose table ``sessions`` has ``session_id`` and ``FIELDS``."""
    names = ("session_id", *FIELDS)
    with closing(sqlite3.connect(file)) as database:
        for row in database.execute(f"SELECT {', '.join(names)} FROM sessions"):  # noqa: S608
            state = dict(zip(names, row, strict=True))
            for flag in _FLAGS:
                state[flag] = None if state[flag] is None else bool(state[flag])
            yield state
