"""The one place that puts a service together, from settings, and checks that it can work.

The order is that of the messages a person wants to see: first the store (it is near), then the
broker, then the topic, then whether the two belong together.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .background import Paced, one_thread
from .breaker import Limits
from .broker import Broker
from .commit import LeftOut
from .config import Settings
from .errors import BreakerOpenError, NothingToRebuildError, TopicChangedError
from .observer import Observer, Progress
from .parts import fold_in_parts, parts_of
from .rebuild import (
    Excerpt,
    Reader,
    Rebuilder,
    Until,
    excerpt_before,
    fold_excerpt,
    left_out,
)
from .rebuild.decisions import decided
from .rebuild.what_if import Observing, Outlook, compared, fold_by, write_states
from .service import Checks, Service
from .source import Watermarks
from .source.kafka import KafkaSource
from .store import Gap, SessionStore, TopicIdentity, open_shadow, open_store
from .store.messages import changed_message
from .topic import refuse_destructive

logger = logging.getLogger("sessionfold_consumer")

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 256 * 1024 * 1024
_LARGEST_ARRAY_BYTES = 64 * 1024 * 1024
REBUILD_SHARE = 0.5
"""Of the time in which a rebuild writes to the database; the other half is the services'."""
_COLLECTION_OBJECTS = 500_000
"""Several times what two batches of the largest size hold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wiring:
    """How a service gets its partitions and where it ends."""

    in_group: bool
    """Join the consumer group (for ever), or take all partitions."""
    to_present_end: bool = False
    """Stop at the high watermarks of the start; only without a group."""
    part: Mapping[int, int] | None = None
    """Take these partitions alone, each up to an offset; only without a group."""
    embedded: bool = False
    """The broker is librdkafka's mock cluster, which answers no questions about topics."""


@contextmanager
def service(
    settings: Settings, wiring: Wiring, observer: Observer | None = None
) -> Iterator[Service]:
    """Make a service that is ready to run; leave the group and close the store afterwards.

    Raises:
        ConsumerError: one of its kinds, when it could not work; see :mod:`errors`.
    """
    _keep_freed_memory()
    with closing(open_store(settings.store)) as store:
        _refuse_stopped(store)
        broker = Broker(settings)
        identity = _identity(broker, settings, wiring)
        group_id = settings.group_id or store.info().group_id
        everything = range(identity.partition_count)
        partitions = None if wiring.in_group else sorted(wiring.part or everything)
        with (
            _rare_collections(),
            one_thread() as background,
            _bound_source(settings, store, identity, group_id, partitions) as (source, ends),
        ):
            yield Service(
                source=source,
                store=store,
                topic=settings.topic,
                owner=f"{socket.gethostname()}/{os.getpid()}",
                batch_records=settings.part_records,
                until=ends if wiring.to_present_end else wiring.part,
                checks=Checks() if wiring.embedded else _checks(broker, identity),
                limits=Limits(ratio=settings.breaker_ratio, run=settings.breaker_run),
                accepted=settings.accept_gap,
                observer=observer,
                background=background,
            )


def catch_up(
    settings: Settings, observer: Observer, stopping: Callable[[], bool] = lambda: False
) -> Progress:
    """Fold all partitions up to their present ends, by as many processes as the settings say.

    Raises:
        ConsumerError: one of its kinds, when it could not work; see :mod:`errors`.
    """
    with closing(open_store(settings.store)) as store:  # made here, if it has to be
        _refuse_stopped(store)
    ends = end_offsets(settings)
    parts = parts_of(len(ends), settings.processes)
    return fold_in_parts(partial(_catch_up, settings, ends), parts, observer, stopping)


def _catch_up(
    settings: Settings,
    ends: Mapping[int, int],
    partitions: Sequence[int],
    observer: Observer,
    stopping: Callable[[], bool],
) -> Progress:
    """Fold these partitions."""
    wiring = Wiring(in_group=False, part={each: ends[each] for each in partitions})
    with service(settings, wiring, observer) as ready:
        return ready.run(stopping)


@contextmanager
def rebuilder(
    settings: Settings,
    observer: Observer | None = None,
    stopping: Callable[[], bool] = lambda: False,
    share: float = REBUILD_SHARE,
) -> Iterator[Rebuilder]:
    """Make what folds the topic anew beside the live state of a store.

    Args:
        settings: which store, where its topic is, and how many processes fold at first.
        observer: sees the fold.
        stopping: asked between batches.
        share: the largest part of the time in which each process may write to the database.

    Raises:
        ConsumerError: one of its kinds, when it could not work; see :mod:`errors`.
    """
    with (
        closing(open_store(settings.store, read_only=True)) as live,
        closing(open_shadow(settings.store)) as shadow,
        _bounded(settings, live.info().identity, live.info().group_id, observer, share) as bounded,
    ):

        def open_reader(ends: Mapping[int, int], passed: LeftOut) -> AbstractContextManager[Reader]:
            return bounded.reader(shadow, ends, live.gaps(), passed)

        def fold_first() -> None:
            if settings.processes > 1:
                parts = parts_of(bounded.identity.partition_count, settings.processes)
                fold_shadow = partial(_fold_shadow, settings, share)
                fold_in_parts(fold_shadow, parts, observer or Observer(), stopping)

        yield Rebuilder(live, shadow, open_reader, stopping, fold_first)


def _fold_shadow(
    settings: Settings,
    share: float,
    partitions: Sequence[int],
    observer: Observer,
    stopping: Callable[[], bool],
) -> Progress:
    """Fold these partitions into the shadow of a store, up to where live is."""
    with (
        closing(open_store(settings.store, read_only=True)) as live,
        closing(open_shadow(settings.store)) as shadow,
        _bounded(settings, live.info().identity, live.info().group_id, observer, share) as bounded,
    ):
        positions = live.positions()
        ends = {each: positions[each].next_offset for each in partitions if each in positions}
        passed = left_out(decided(shadow))
        with bounded.reader(shadow, ends, live.gaps(), passed) as reader:
            return reader.service.run(stopping)


def excerpt(settings: Settings, until: Until) -> Excerpt:
    """Ask the broker for the part of a store's topic before a time or before offsets.

    A partition that is not named is taken up to its present end.

    Raises:
        ConsumerError: one of its kinds, when there is none; see :mod:`errors`.
    """
    with closing(open_store(settings.store, read_only=True)) as live:
        info = live.info()
        with _bounded(settings, info.identity, info.group_id) as bounded:
            partitions = range(bounded.identity.partition_count)
            if until.timestamp is None:
                ends = bounded.broker.log_ends(settings.topic, partitions)
            else:
                ends = bounded.broker.offsets_at(settings.topic, partitions, until.timestamp)
            return excerpt_before(until.offsets, ends, live, bounded.identity)


def fold(
    settings: Settings,
    excerpt: Excerpt,
    store: SessionStore,
    observer: Observer | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> bool:
    """Fold an excerpt into a store of its own; see :func:`fold_excerpt`.

    Raises:
        ConsumerError: one of its kinds, when it could not work; see :mod:`errors`.
    """
    with _bounded(settings, excerpt.identity, excerpt.group_id, observer) as bounded:

        def open_reader() -> AbstractContextManager[Reader]:
            return bounded.reader(store, excerpt.ends, excerpt.gaps, left_out(excerpt.letters))

        return fold_excerpt(excerpt, store, open_reader, stopping)


def what_if(settings: Settings, contract: str, limit: int, observing: Observing) -> Outlook:
    """Fold the topic of a store by another contract, up to where the store is, and compare.

    Args:
        settings: which store, and where its topic is.
        contract: the text of an ``.avsc`` file.
        limit: of how many sessions to keep what would differ.
        observing: makes what sees the fold, in another process.

    Raises:
        ConsumerError: one of its kinds, when it could not work; see :mod:`errors`.
    """
    with tempfile.TemporaryDirectory(prefix="sessionfold-") as name:
        folder = Path(name)
        with closing(open_store(settings.store, read_only=True)) as live, live.snapshot():
            identity = live.info().identity
            if identity is None:
                raise NothingToRebuildError
            ends = {p: each.next_offset for p, each in live.positions().items()}
            excerpt = Excerpt.of(live, identity, ends)
            before = sum(1 for _ in live.dead_letters())
            write_states(live, folder / "live.jsonl")
        outlook = Outlook(limit=limit)
        outlook.refused = fold_by(contract, settings, excerpt, folder, observing) - before
        outlook.take(compared(folder / "live.jsonl", folder / "tried.jsonl"))
    return outlook


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bounded:
    """What makes services that fold the topic of a store up to given ends, without a group."""

    settings: Settings
    broker: Broker
    identity: TopicIdentity
    group_id: str
    observer: Observer | None
    share: float

    def source(self, partitions: Sequence[int]) -> AbstractContextManager[KafkaSource]:
        """Open a source of these partitions."""
        return closing(KafkaSource(self.settings, self.group_id, partitions))

    @contextmanager
    def reader(
        self,
        store: SessionStore,
        ends: Mapping[int, int],
        gaps: Sequence[Gap],
        passed: LeftOut,
    ) -> Iterator[Reader]:
        """Open a service that folds into a store, those partitions that have an end."""
        with one_thread() as background, self.source(sorted(ends)) as source:
            service = Service(
                source=source,
                store=store,
                topic=self.settings.topic,
                owner=f"rebuild/{socket.gethostname()}/{os.getpid()}",
                batch_records=self.settings.part_records,
                until=ends,
                checks=_checks(self.broker, self.identity),
                limits=Limits(ratio=1, run=0),  # what was set aside once is again
                accepted=gaps,
                left_out=passed,
                # No supervisor starts a rebuild again and again: who ends it may well be a person,
                # and the record before which it ended is a good one.
                sets_aside_fatal=False,
                observer=self.observer,
                background=Paced(background, self.share),
            )
            yield Reader(service=service, source=source)


@contextmanager
def _bounded(
    settings: Settings,
    bound: TopicIdentity | None,
    group_id: str,
    observer: Observer | None = None,
    share: float = 1.0,
) -> Iterator[_Bounded]:
    """See that a store's topic is as it was, and make what folds it."""
    _keep_freed_memory()
    broker = Broker(settings)
    identity = _identity(broker, settings, Wiring(in_group=False))
    if bound is not None and bound != identity:
        raise TopicChangedError(changed_message(bound, identity))
    with _rare_collections():
        yield _Bounded(
            settings=settings,
            broker=broker,
            identity=identity,
            group_id=settings.group_id or group_id,
            observer=observer,
            share=share,
        )


def end_offsets(settings: Settings) -> dict[int, int]:
    """Ask the broker for the high watermark of every partition of the topic.

    Raises:
        BrokerUnreachableError: when it does not answer.
    """
    partitions = range(Broker(settings).partition_count(settings.topic))
    with closing(KafkaSource(settings, "sessionfold-ends", partitions)) as source:
        return {partition: source.watermarks(partition).high for partition in partitions}


def _keep_freed_memory() -> None:
    """Let the C library keep what a batch gave back for the next one, where it can be told so.

    Otherwise the system takes the pages of large arrays back, and clears them, a hundred times a
    batch. The settings are glibc's (``mallopt(3)``); the service's bounds of memory hold with them.
    """
    with suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_ARRAY_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


@contextmanager
def _rare_collections() -> Iterator[None]:
    """Let Python look for cycles of garbage less often within the block.

    The records of a batch are more objects than it takes to make it look, none of them is in a
    cycle, and to look at all of them again and again takes a tenth of the service's time.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(_COLLECTION_OBJECTS, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


@contextmanager
def _bound_source(
    settings: Settings,
    store: SessionStore,
    identity: TopicIdentity,
    group_id: str,
    partitions: Sequence[int] | None,
) -> Iterator[tuple[KafkaSource, Mapping[int, int]]]:
    with closing(KafkaSource(settings, group_id, partitions)) as source:
        marks = {each: source.watermarks(each) for each in range(identity.partition_count)}
        if store.info().identity is None:
            _say_what_is_missing(marks)
        store.bind(identity, {partition: mark.low for partition, mark in marks.items()})
        yield source, {partition: mark.high for partition, mark in marks.items()}


def _say_what_is_missing(marks: Mapping[int, Watermarks]) -> None:
    gone = {partition: mark.low for partition, mark in marks.items() if mark.low > 0}
    if gone:
        logger.warning(
            "the log no longer has its first records (it begins at offset %s of partition %s): "
            "sessions that were reported on before then are incomplete in this store",
            next(iter(gone.values())),
            next(iter(gone)),
        )


def _refuse_stopped(store: SessionStore) -> None:
    stopped = store.info().stopped
    if stopped is not None:
        raise BreakerOpenError(stopped)


def _checks(broker: Broker, bound: TopicIdentity) -> Checks:
    """Return what sees that the topic is still the one that the store was tied to."""

    def confirm() -> None:
        topic_id, partition_count = broker.identify(bound.topic)
        found = TopicIdentity(topic=bound.topic, topic_id=topic_id, partition_count=partition_count)
        if found != bound:
            raise TopicChangedError(changed_message(bound, found))

    def inspect() -> None:
        confirm()
        refuse_destructive(broker.describe(bound.topic))

    return Checks(confirm=confirm, inspect=inspect)


def _identity(broker: Broker, settings: Settings, wiring: Wiring) -> TopicIdentity:
    if wiring.embedded:
        return TopicIdentity(
            topic=settings.topic,
            # Its cluster ID is a memory address, which the next one in this process may have, too.
            topic_id=f"{broker.cluster_id()}@{settings.bootstrap_servers}",
            partition_count=broker.partition_count(settings.topic),
        )
    topic = broker.describe(settings.topic)
    refuse_destructive(topic)
    return TopicIdentity(
        topic=topic.name, topic_id=topic.topic_id, partition_count=topic.partition_count
    )
