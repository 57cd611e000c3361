"""A store that is filled by hand, in whatever way a service might, and verifiers of it."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import asdict
from typing import Any

from sessionfold_consumer.commit import prepare
from sessionfold_consumer.decode import decode
from sessionfold_consumer.fold import fold
from sessionfold_consumer.source import MemorySource
from sessionfold_consumer.store import DeadLetter, LetterStatus, SessionStore
from sessionfold_consumer.verify import Report, Verifier
from tests.strategies import batch_of, stored
from tests.unit.consumer.services import Topic

LATER = {"went_back", "anew"}
"""Notes that only a verifier can have that has checked before."""


def new_verifier(topic: Topic, **arguments: Any) -> Verifier:  # noqa: ANN401 - the verifier's
    """Return a verifier that reads a topic in memory, and waits for nothing."""
    return Verifier(
        lambda partitions: MemorySource(topic.log, partitions), settle_seconds=0, **arguments
    )


def checked(topic: Topic, store: SessionStore) -> Report:
    """Check a store once."""
    return new_verifier(topic).check(store)


def assert_is_clean(report: Report) -> None:
    """Expect no difference, and show those that there are."""
    assert (report.differences, report.difference_count, report.is_clean) == ([], 0, True)


def found(report: Report) -> dict[str, Any]:
    """Return what a report says of the store: not how it came to it."""
    notes = [note for note in report.notes if note.kind not in LATER]
    fields = asdict(report) | {"notes": notes}
    return {name: fields[name] for name in fields if name not in ("seconds", "records_read")}


def advance(
    store: SessionStore,
    topic: Topic,
    partition: int,
    *,
    records: int = 100,
    fatal: Set[int] = frozenset(),
) -> None:
    """Fold the next records of a partition, of which one may be set aside undecoded."""
    source = MemorySource(topic.log, [partition])
    positions = store.positions()
    source.start({partition: positions[partition].next_offset})
    commit = prepare(source.fetch(records, 0), positions, None, fatal)
    store.commit(commit.advances, commit.rows, commit.dead_letters)


def resolve(store: SessionStore, letter: DeadLetter, status: LetterStatus) -> bool:
    """Retry or drop a dead letter; say whether it could be."""
    rows = []
    if status == "retried":
        record = stored(letter.partition, letter.offset, letter.key, letter.value)
        events = decode(batch_of([record]))
        if events.refused:
            return False
        rows = [*fold(events)]
    store.resolve([letter], status, rows)
    return True
