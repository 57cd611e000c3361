"""From a snapshot to the shadow of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import islice
from typing import Any

from ..errors import SnapshotUnusableError
from ..snapshot import Snapshot
from ..state import state_columns
from ..store import Advance, DeadLetter, Gap, Position, SessionStore, ShadowStore
from .decisions import decide_alike

_PORTION_ROWS = 10_000


def load(snapshot: Snapshot, live: SessionStore, shadow: ShadowStore, origin: str) -> None:
    """Begin a shadow with a snapshot; only when all of it is there, ``origin`` is noted.

    What people have decided about its dead letters since then is done in the shadow, too.

    Raises:
        SnapshotUnusableError: when it is damaged, or of another log than the store.
    """
    header = snapshot.header
    identity = live.info().identity
    if identity != header.identity:
        raise SnapshotUnusableError(
            f"the file {snapshot.path} is a snapshot of the topic {header.topic} (ID "
            f"{header.topic_id}, {header.partition_count} partitions), this store is of "
            f"{identity and identity.topic} (ID {identity and identity.topic_id}); name another "
            "with --snapshot, or --store"
        )
    _refuse_ahead(snapshot, live)
    _fill(snapshot, live, shadow, origin)


def _fill(snapshot: Snapshot, live: SessionStore, shadow: ShadowStore, origin: str) -> None:
    header = snapshot.header
    shadow.begin("a snapshot that is being loaded", header.first_offsets)
    held = shadow.claim(sorted(header.first_offsets), "a snapshot")
    unmoved = [Advance(position=each, next_offset=each.next_offset) for each in held.values()]
    gaps: list[Gap] = []
    for portion in _portions(snapshot.items()):
        states = [each for each in portion if isinstance(each, dict)]
        letters = [each for each in portion if isinstance(each, DeadLetter)]
        gaps += [each for each in portion if isinstance(each, Gap)]
        shadow.commit(unmoved, [_row(each) for each in states], letters)
    for partition, position in held.items():
        own = [gap for gap in gaps if gap.partition == partition]
        _move(shadow, position, own, header.next_offsets[partition])
    decide_alike(live, shadow)
    shadow.note_origin(origin)


def load_new(
    snapshot: Snapshot, store: SessionStore, open_shadow: Callable[[], ShadowStore]
) -> None:
    """Make a new store what a snapshot has.

    Raises:
        SnapshotUnusableError: when the snapshot is damaged, or the store has a state already.
    """
    header = snapshot.header
    positions = store.positions().values()
    if any(each.next_offset != each.first_offset for each in positions):
        raise SnapshotUnusableError(
            "the store has a state already, and a snapshot is loaded into a new one; name one "
            "with --store, or begin a rebuild with it: sessionfold rebuild --snapshot FILE"
        )
    store.bind(header.identity, header.first_offsets)
    with closing(open_shadow()) as shadow:
        # A store that is new here has nothing that could be missed.
        _fill(snapshot, store, shadow, "a snapshot")
        shadow.switch()
    with closing(open_shadow()) as emptied:
        emptied.empty()


def _refuse_ahead(snapshot: Snapshot, live: SessionStore) -> None:
    """See that what is compared later can be at the same positions."""
    positions = live.positions()
    for partition, next_offset in snapshot.header.next_offsets.items():
        if positions[partition].next_offset < next_offset:
            raise SnapshotUnusableError(
                f"the file {snapshot.path} has partition {partition} up to offset "
                f"{next_offset - 1}, the live state only up to "
                f"{positions[partition].next_offset - 1}; let the service catch up first"
            )


def _move(shadow: ShadowStore, position: Position, gaps: Iterable[Gap], next_offset: int) -> None:
    """Move a position to where the snapshot was, over its gaps."""
    for gap in gaps:
        position = shadow.accept_gap(_advanced(shadow, position, gap.first), gap.end)
    _advanced(shadow, position, next_offset)


def _advanced(shadow: ShadowStore, position: Position, next_offset: int) -> Position:
    if position.next_offset == next_offset:
        return position
    advance = Advance(position=position, next_offset=next_offset)
    shadow.commit([advance], (), ())
    return advance.moved()


def _portions(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while portion := list(islice(iterator, _PORTION_ROWS)):
        yield portion


def _row(state: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(state[column.name] for column in state_columns())
