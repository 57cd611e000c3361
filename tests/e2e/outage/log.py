"""What the topic must come to, by the plain reference fold, and what lies in a spool."""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sessionfold._spooling.journal import Journal
from sessionfold_schemas import decode
from tests import oracle
from tests.services.topics import StoredRecord

FIELDS = (
    "session_name",
    "task",
    "session_eval",
    "session_eval_reason",
    "is_successful",
    "is_successful_reason",
    "is_finished",
)

Model = dict[str, dict[str, Any]]
Event = dict[str, Any]


def folded(records: Iterable[StoredRecord]) -> Model:
    """Return each session's fields that were given, by the reference fold of the log."""
    result = oracle.fold(records)
    assert result.refused == {}
    model = {state["session_id"]: _given(state) for state in result.states.values()}
    assert len(model) == len(result.states), "a session is on two partitions"
    return model


def differences(found: Model, expected: Model) -> dict[str, Any]:
    """Return what is not as expected, by session and field."""
    wrong: dict[str, Any] = {}
    for session_id in found.keys() | expected.keys():
        has, shall = found.get(session_id, {}), expected.get(session_id, {})
        if has != shall:
            fields = [name for name in FIELDS if has.get(name) != shall.get(name)]
            wrong[session_id] = {name: (has.get(name), shall.get(name)) for name in fields}
    return wrong


def events(records: Iterable[StoredRecord]) -> list[Event]:
    """Return the events of a log, in the order of its partitions and offsets."""
    return [decode(record.value, key=record.key)[1] for record in records]


def repeated(found: Iterable[Event]) -> set[tuple[str, int]]:
    """Return the numbers, each within its producer, that are in the log more than once."""
    numbers = Counter((event["producer_id"], event["sequence"]) for event in found)
    return {number for number, count in numbers.items() if count > 1}


def backward(found: Iterable[Event]) -> list[tuple[str, int]]:
    """Return the events that come behind a later one of their session and producer."""
    last: dict[tuple[str, str], int] = defaultdict(lambda: -1)
    wrong: list[tuple[str, int]] = []
    for event in found:
        line = event["producer_id"], event["session_id"]
        if event["sequence"] <= last[line]:
            wrong.append((event["session_id"], event["sequence"]))
        last[line] = max(last[line], event["sequence"])
    return wrong


def spooled_calls(directory: Path) -> int:
    """Return how many calls the events carry that wait in a spool."""
    return sum(journal.waiting_calls for journal in journals(directory))


def journals(directory: Path) -> Iterator[Journal]:
    """Yield the files of a spool, each from a copy, so that nothing changes."""
    with tempfile.TemporaryDirectory() as other:
        for path in sorted(directory.glob("*.spool")):
            journal = Journal.open(Path(shutil.copy(path, other)))
            yield journal
            journal.close()


def _given(state: oracle.State) -> dict[str, Any]:
    return {name: state[name] for name in FIELDS if state[name] is not None}
