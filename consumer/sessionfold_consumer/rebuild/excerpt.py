"""A part of a log, folded into a store of its own: the state as it was."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from ..errors import ExcerptExistsError, LogStartGoneError, NotFoundError
from ..source import Source
from ..store import DeadLetter, Gap, SessionStore, TopicIdentity
from ..verify.log import LogStartMissingError, span
from .decisions import decided
from .reader import Reader


@dataclass(frozen=True, kw_only=True, slots=True)
class Until:
    """Where to stop: before the first record of a time, or before offsets."""

    timestamp: int | None = None
    """Milliseconds since the epoch."""
    offsets: Mapping[int, int] = field(default_factory=dict)
    """By partition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Excerpt:
    """What to fold, and what was decided about it. Plain data: another process can be given it."""

    identity: TopicIdentity
    group_id: str
    """What a client has to call itself, although it joins no group."""
    begins: Mapping[int, int]
    """For each partition the offset to begin at."""
    ends: Mapping[int, int]
    """For each partition the offset to stop before."""
    gaps: Sequence[Gap] = ()
    letters: Sequence[DeadLetter] = ()
    """Those that people have decided about, or that ended processes."""

    @classmethod
    def of(cls, store: SessionStore, identity: TopicIdentity, ends: Mapping[int, int]) -> Excerpt:
        """Return the part of a store's log before these ends; decisions are the store's."""
        firsts = {p: position.first_offset for p, position in store.positions().items()}
        begins = {p: firsts.get(p, 0) for p in range(identity.partition_count)}
        return cls(
            identity=identity,
            group_id=store.info().group_id,
            begins=begins,
            ends={p: max(ends[p], begin) for p, begin in begins.items()},
            gaps=store.gaps(),
            letters=[each for each in decided(store) if each.offset < ends.get(each.partition, 0)],
        )

    def begin(self, store: SessionStore) -> None:
        """Make a new store one of this excerpt, or find that it has been begun.

        Raises:
            ExcerptExistsError: when it is a store of something else, or folded further.
        """
        positions = store.positions()
        if not positions:
            store.bind(self.identity, self.begins)
            store.commit((), (), self.letters)
        elif store.info().identity != self.identity or any(
            position.next_offset > self.ends[p] for p, position in positions.items()
        ):
            raise ExcerptExistsError


def excerpt_before(
    offsets: Mapping[int, int],
    ends: Mapping[int, int],
    store: SessionStore,
    identity: TopicIdentity,
) -> Excerpt:
    """Return the part of a store's log before an offset of some partitions.

    Args:
        offsets: of these partitions, before these offsets.
        ends: of all others, before these; no partition is taken further.
        store: says where the fold began, and what was decided about dead letters.
        identity: the log.

    Raises:
        NotFoundError: when the topic has no partition of a number that is named.
    """
    for partition in offsets:
        if partition not in ends:
            raise NotFoundError("partition", str(partition), f"the topic {identity.topic}")
    bounds = {p: min(offsets.get(p, end), end) for p, end in ends.items()}
    return Excerpt.of(store, identity, bounds)


def fold_excerpt(
    excerpt: Excerpt,
    store: SessionStore,
    open_reader: Callable[[], AbstractContextManager[Reader]],
    stopping: Callable[[], bool] = lambda: False,
) -> bool:
    """Fold an excerpt into a new store, or go on with it; say whether it came to its end.

    Args:
        excerpt: what to fold.
        store: where to.
        open_reader: opens a service that folds the excerpt into the store.
        stopping: asked between batches; what was folded by then stays.

    Raises:
        ExcerptExistsError: when the store is one of something else, or folded further.
        LogStartGoneError: when the log no longer has all of the excerpt.
    """
    excerpt.begin(store)
    with open_reader() as reader:
        begins = {p: position.next_offset for p, position in store.positions().items()}
        refuse_missing(reader.source, begins, excerpt.gaps)
        reader.service.run(stopping)
    positions = store.positions()
    return all(positions[p].next_offset >= end for p, end in excerpt.ends.items())


def refuse_missing(source: Source, begins: Mapping[int, int], gaps: Sequence[Gap]) -> None:
    """See that the log has all that is to be folded, or that what it lacks was accepted as lost.

    Raises:
        LogStartGoneError: when it has not.
    """
    for partition, begin in begins.items():
        marks = source.watermarks(partition)
        own = [each for each in gaps if each.partition == partition]
        try:
            span(partition, begin, max(begin, marks.high), marks.low, own)
        except LogStartMissingError:
            raise LogStartGoneError(partition, begin, marks.low - 1) from None
