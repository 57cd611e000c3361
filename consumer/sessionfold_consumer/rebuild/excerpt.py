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


class Excerpts:
    """Folds parts of the log of a store into other stores.

    Args:
        live: the store, to read.
        identity: its topic.
        open_source: opens a source of all partitions.
        open_reader: opens a service that folds an excerpt into a store.
        stopping: asked between batches; what was folded by then stays, and can be gone on with.
    """

    def __init__(
        self,
        live: SessionStore,
        identity: TopicIdentity,
        open_source: Callable[[], AbstractContextManager[Source]],
        open_reader: Callable[[Excerpt, SessionStore], AbstractContextManager[Reader]],
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._live = live
        self._identity = identity
        self._open_source = open_source
        self._open_reader = open_reader
        self._stopping = stopping

    def until(self, until: Until) -> Excerpt:
        """Return the part of the log before a time, or before an offset of some partitions.

        A partition that is not named is taken up to its present end.
        """
        with self._open_source() as source:
            partitions = range(self._identity.partition_count)
            ends = {each: source.watermarks(each).high for each in partitions}
            if until.timestamp is not None:
                ends |= {each: source.offset_at(each, until.timestamp) for each in partitions}
        unknown = until.offsets.keys() - ends.keys()
        if unknown:
            raise NotFoundError("partition", str(min(unknown)), f"the topic {self._identity.topic}")
        ends |= {p: min(offset, ends[p]) for p, offset in until.offsets.items()}
        return Excerpt.of(self._live, self._identity, ends)

    def fold(self, excerpt: Excerpt, store: SessionStore) -> bool:
        """Fold an excerpt into a new store, or go on with it; say whether it came to its end.

        Raises:
            ExcerptExistsError: when the store is one of something else, or folded further.
            LogStartGoneError: when the log no longer has all of it.
        """
        excerpt.begin(store)
        with self._open_reader(excerpt, store) as reader:
            begins = {p: position.next_offset for p, position in store.positions().items()}
            refuse_missing(reader.source, begins, excerpt.gaps)
            reader.service.run(self._stopping)
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
