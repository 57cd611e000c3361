"""The loop: fetch a batch, fold it, store it with its positions, again.

While one batch is being stored, the next one is fetched and folded. It is folded on the assumption
that the first will be stored; when that proves wrong, it is folded again. Nothing else is asked of
the store while it stores a batch.

Positions are the store's alone. A partition that is given to this process is first claimed in the
store, which fences whoever held it before, and then fetched from the position found there; so after
any crash, hand-over or replay the store is the fold of a prefix of the log.

When broker or store do not answer, the batch stays in hand and the loop goes on without fetching:
the process remains a member of its group, and tries again. Before it does, it reads the positions
again, since a commit whose answer was lost may have been done; what is stored by then is dropped
from the batch. So nothing is ever written because it was not known to be.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from .background import AtOnce
from .breaker import Breaker, Limits
from .caution import Caution
from .commit import Commit, LeftOut, prepare
from .errors import (
    BreakerOpenError,
    BrokerUnreachableError,
    FencedError,
    LogTruncatedError,
    PositionMissingError,
    StoreBusyError,
    StoreUnusableError,
)
from .observer import Observer, Progress
from .patience import Patience
from .source import Fetched, Source
from .store import Gap, Generation, Position, SessionStore

logger = logging.getLogger("sessionfold_consumer")

FETCH_SECONDS = 0.2
"""The longest time that is fetched while another batch is being stored, or nothing comes."""

_ROWS_PART = 0.5
"""Batches get smaller when more than this part of their records comes to a row each.

Rows take more memory than records, and where each record has its own, large batches gain little.
"""
_CONFIRM_SECONDS = 15.0
_FENCED_SECONDS = 600.0
_FENCED_TIMES = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Checks:
    """What sees that the topic is still the one the store was built from.

    Both raise ``TopicChangedError`` or ``TopicUnsuitableError`` when it is not, and
    ``BrokerUnreachableError`` to be asked again.
    """

    confirm: Callable[[], None] = lambda: None
    """Asked after records were fetched and before they are stored: so none of another is."""
    inspect: Callable[[], None] = lambda: None
    """Asked now and then, also when nothing comes: looks at the topic's settings, too."""


@dataclass(kw_only=True, slots=True)
class _Work:
    """A batch in hand.

    ``folded`` is what it comes to, as long as the positions are those it was folded from;
    ``tried`` the commit whose outcome is not known, ``storing`` that outcome while the commit is
    under way; ``verdict`` the breaker's, given once.
    """

    fetched: Fetched
    folded: Commit | None = None
    tried: Commit | None = None
    storing: Future[float] | None = None
    is_judged: bool = False
    verdict: str | None = None


class Service:
    """Folds one topic into one store. Belongs to one thread.

    Args:
        source: gives records; the service closes neither it nor the store.
        store: bound to the source's topic already.
        topic: its name, for messages.
        owner: a name for this process, kept in the store beside the partitions it holds.
        batch_records: the most records in one transaction.
        until: for each partition the offset to stop before; None runs until told to stop.
        checks: see that the topic is still the store's.
        limits: how many records may be refused before the service stops.
        accepted: gaps in front of a position that may be passed over.
        left_out: for each partition the offsets of records that are not to be decoded; the store
            has a dead letter of each.
        sets_aside_fatal: set a record aside undecoded when process after process ends at it.
        observer: sees what happens.
        background: where commits are written; never more than one at a time.
        clock: seconds that never run backwards.
    """

    def __init__(  # noqa: PLR0913 - all by name, and made in one place
        self,
        *,
        source: Source,
        store: SessionStore,
        topic: str,
        owner: str,
        batch_records: int,
        until: Mapping[int, int] | None = None,
        checks: Checks = Checks(),
        limits: Limits = Limits(),  # noqa: B008 - frozen
        accepted: Sequence[Gap] = (),
        left_out: LeftOut | None = None,
        sets_aside_fatal: bool = True,
        observer: Observer | None = None,
        background: Executor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._store = store
        self._topic = topic
        self._owner = owner
        self._until = until
        self._checks = checks
        self._breaker = Breaker(limits)
        self._accepted = accepted
        self._left_out = left_out or {}
        self._observer = observer or Observer()
        self._background = background or AtOnce()
        self._clock = clock
        self._inspected = clock()
        self._patience = Patience(clock)
        self._positions: dict[int, Position] = {}
        self._generation: Generation | None = None
        self._waiting: list[int] = []
        self._caution = Caution(batch_records, sets_aside=sets_aside_fatal)
        self._batch_rows = batch_records * _ROWS_PART
        self._rows_of_a_record = _ROWS_PART
        self._work: _Work | None = None
        self._next: _Work | None = None
        self._fences: list[float] = []
        self._records = self._dead_letters = 0

    def run(self, stopping: Callable[[], bool] = lambda: False) -> Progress:
        """Fold until ``stopping`` says so (asked between batches) or the end is reached.

        Raises:
            BreakerOpenError: when too many records are no valid events.
            FencedError: when other processes take its partitions over, again and again.
            LogTruncatedError: when the log does not have what has to be folded next.
            StoreUnusableError: when the store cannot be written; what was committed is right.
            TopicChangedError, TopicUnsuitableError: when the topic is no longer the one that the
                store was built from, or no longer keeps its events.
        """
        while not stopping() and not self._is_done():
            self.step()
        self._finish_for_good()
        return self.progress()

    def extend(self, until: Mapping[int, int]) -> None:
        """Let a bounded run that has ended, or has not begun, go on to other ends."""
        reached = [each for each in self._positions if self._is_reached(each)]
        self._until = until
        again = [each for each in reached if not self._is_reached(each)]
        self._start({each: self._positions[each].next_offset for each in again})

    def step(self) -> None:
        """Fetch and fold a batch beside the one that is being stored, and follow the group.

        With a batch in hand that could not be stored, nothing is fetched; it is tried again.
        """
        if self._work is None or (self._work.storing is not None and self._next is None):
            self._keep(self._fetch())
        else:
            self._idle()
        self._follow_group()
        if not self._patience.is_waiting():
            self._act()
        self._observer.progressed(self.progress())

    def progress(self) -> Progress:
        """Return how far the service is now."""
        return Progress(
            records=self._records,
            dead_letters=self._dead_letters,
            next_offsets={p: position.next_offset for p, position in self._positions.items()},
            ends=self._source.known_ends() if self._until is None else self._until,
            waiting=self._patience.reason,
        )

    def _act(self) -> None:
        """Do what is to be done with broker and store; have patience when they are away."""
        try:
            self._fold_ahead()
            self._finish_in_turn()
            self._begin()
            self._take_over()
            self._inspect_now_and_then()
        except BrokerUnreachableError as error:
            self._patience.wait(error)
            self._observer.waits("broker")
        except StoreBusyError as error:
            self._patience.wait(error)
            self._observer.waits("store")
        except FencedError as error:
            self._handle_fence(error)
        else:
            self._patience.rest()

    def _fetch(self) -> Fetched:
        began = self._clock()
        try:
            fitting = max(1, int(self._batch_rows / self._rows_of_a_record))
            records = min(self._caution.batch_records, fitting)
            return self._source.fetch(records, FETCH_SECONDS, self._is_free)
        except LogTruncatedError:
            # The log of a topic that was created again looks truncated, too.
            with suppress(BrokerUnreachableError):
                self._checks.confirm()
            raise
        except BrokerUnreachableError as error:
            self._start_anew(error)
            return Fetched.nothing()
        finally:
            self._observer.staged("fetch", self._clock() - began)

    def _idle(self) -> None:
        try:
            self._source.idle(FETCH_SECONDS)
        except BrokerUnreachableError as error:
            self._start_anew(error)

    def _start_anew(self, error: BrokerUnreachableError) -> None:
        """Make the client anew: after an exception it may have lost records that it had fetched."""
        self._patience.wait(error)
        self._renew()

    def _is_free(self) -> bool:
        """Say whether no commit is under way, any more."""
        return self._work is None or self._work.storing is None or self._work.storing.done()

    def _keep(self, fetched: Fetched) -> None:
        if not len(fetched.batch) and not fetched.ends:
            return
        if self._work is None:
            self._work = _Work(fetched=fetched)
        else:
            self._next = _Work(fetched=fetched)

    def _fold_ahead(self) -> None:
        """Fold the batch behind the one that is being stored, as if that were done.

        Not where processes ended: there, each batch is counted before it is decoded.
        """
        work, before = self._next, self._work
        if work is None or work.folded is not None or before is None or before.tried is None:
            return
        if self._caution.asks_for_care(work.fetched.batch.ranges):
            return
        moved = {each.position.partition: each.moved() for each in before.tried.advances}
        expected = {p: moved.get(p, position) for p, position in self._positions.items()}
        work.folded = self._fold(work, expected)

    def _fold(self, work: _Work, positions: Mapping[int, Position]) -> Commit:
        began = self._clock()
        commit = prepare(work.fetched, positions, self._until, self._caution.fatal, self._left_out)
        self._observer.staged("fold", self._clock() - began)
        self._rows_of_a_record = max(_ROWS_PART, len(commit.rows) / (commit.records or 1))
        return commit

    def _finish_in_turn(self) -> None:
        """Wait for the commit under way when something is to follow it, else look if it is done."""
        if self._next is not None or self._is_free():
            self._finish()

    def _finish(self) -> None:
        """Wait for the commit that is under way, if one is, and note what it stored."""
        work = self._work
        if work is None or work.storing is None:
            return
        storing, work.storing = work.storing, None
        with self._sparing():
            seconds = storing.result()
        assert work.tried is not None  # noqa: S101 - it is what was stored
        self._work, self._next = self._next, None
        self._observer.staged("store", seconds)
        self._note_stored(work.tried)

    def _finish_for_good(self) -> None:
        """Wait for the commit under way; what could not be stored is left to the next process."""
        try:
            self._finish()
        except FencedError as error:
            self._observer.fenced([error.partition])
        except (BrokerUnreachableError, StoreBusyError) as error:
            logger.warning("the last batch was not stored, the next run folds it: %s", error)

    @contextmanager
    def _sparing(self) -> Iterator[None]:
        try:
            yield
        except Exception:
            self._spare()
            raise

    def _spare(self) -> None:
        """Take back the attempts that failed: this process is not ended by them."""
        counted = self._caution.to_be_spared()
        if counted:
            with suppress(StoreUnusableError):
                self._store.spare(counted)
                self._caution.spared()

    def _begin(self) -> None:
        """Let the batch in hand be stored, or the one behind it when there is nothing to store."""
        while self._work is not None and self._work.storing is None:
            with self._sparing():
                commit = self._prepared(self._work)
                if commit.advances:
                    self._judge(self._work, commit)
            if not commit.advances:
                self._work, self._next = self._next, None
                continue
            self._work.tried = commit
            self._work.storing = self._background.submit(self._write, commit)
            if self._work.storing.done():
                self._finish()

    def _prepared(self, work: _Work) -> Commit:
        """Return what is to be stored of a batch, from the positions that are held now."""
        if work.tried is not None:
            self._settle(work)
        self._note_attempt(work.fetched)
        folded, work.folded = work.folded, None
        if folded is not None and self._is_current(folded):
            return folded
        return self._fold(work, self._positions)

    def _is_current(self, commit: Commit) -> bool:
        """Say whether it was folded from the positions that are held now."""
        positions = [each.position for each in commit.advances]
        return all(self._positions.get(each.partition) == each for each in positions)

    def _write(self, commit: Commit) -> float:
        """Store a commit; return the seconds it took. In the background, beside the loop."""
        self._checks.confirm()
        began = self._clock()
        self._store.commit(commit.advances, commit.rows, commit.dead_letters)
        return self._clock() - began

    def _settle(self, work: _Work) -> None:
        """Learn what became of a commit whose answer was lost, by reading the positions."""
        assert work.tried is not None  # noqa: S101 - the caller has looked
        stored = self._store.positions()
        for partition, held in self._positions.items():
            if partition not in stored and not self._is_switched():
                raise PositionMissingError(partition)
            # What was live before a switch may be thrown away by now.
            if partition not in stored or stored[partition].owner_epoch != held.owner_epoch:
                raise FencedError(partition)
        tried, work.tried = work.tried, None
        if any(
            self._positions.get(advance.position.partition) == advance.position
            and stored[advance.position.partition].next_offset == advance.next_offset
            for advance in tried.advances
        ):
            self._note_stored(tried)

    def _judge(self, work: _Work, commit: Commit) -> None:
        if not work.is_judged:
            work.verdict = self._breaker.judge(commit.records, commit.refused)
            work.is_judged = True
        if work.verdict is not None:
            self._store.stop(work.verdict)
            raise BreakerOpenError(work.verdict)

    def _note_attempt(self, fetched: Fetched) -> None:
        """Let the store count the first attempt after a take-over, before anything is decoded.

        Where care is taken, each attempt.
        """
        begun = self._caution.to_be_counted(self._positions, fetched.batch.ranges)
        if begun:
            self._store.attempt(begun)
            self._caution.counted(begun)

    def _note_stored(self, commit: Commit) -> None:
        advances = [a for a in commit.advances if a.position.partition in self._positions]
        moved = {advance.position.partition: advance.moved() for advance in advances}
        self._positions |= moved
        self._records += commit.records
        self._dead_letters += len(commit.dead_letters)
        for letter in commit.dead_letters[:1]:
            logger.warning(
                "%d records of a batch were set aside, the first at partition %d offset %d: %s",
                len(commit.dead_letters),
                letter.partition,
                letter.offset,
                letter.reason,
            )
        self._observer.committed(commit)
        self._caution.moved(advances)
        self._source.acknowledge({p: position.next_offset for p, position in moved.items()})
        self._source.pause([p for p in moved if self._is_reached(p)])

    def _handle_fence(self, error: FencedError) -> None:
        """Drop what is held, and ask the group again what belongs to this process.

        A process that was frozen learns so what it missed. Two groups over one store take the
        partitions from each other: that has to be heard, not to go on. When a rebuild was put in
        place, nobody else has the partitions: they are claimed again.
        """
        self._observer.fenced([error.partition])
        if error.partition not in self._positions:
            logger.info(
                "partition %d was given up while a batch with its records was being stored; the "
                "rest of the batch is tried again",
                error.partition,
            )
            return
        if self._is_switched():
            logger.info("another state of this store was put in place; going on in that")
            self._claim_again()
            return
        now = self._clock()
        self._fences = [each for each in self._fences if each > now - _FENCED_SECONDS] + [now]
        if self._until is not None or len(self._fences) >= _FENCED_TIMES:
            raise error
        logger.warning("%s; this one drops what it holds and asks the group again", error)
        self._renew()

    def _is_switched(self) -> bool:
        """Say whether the live generation is another than the one of the first claim."""
        return is_another_live(self._store, self._generation)

    def _claim_again(self) -> None:
        held = [*self._positions]
        self._give_up(held)
        self._work = self._next = None
        self._waiting += held

    def _renew(self) -> None:
        self._observer.renewed()
        self._source.renew()
        self._follow_group()

    def _inspect_now_and_then(self) -> None:
        """Notice also in a silent topic that it was deleted, changed or repartitioned."""
        if self._clock() - self._inspected < _CONFIRM_SECONDS:
            return
        self._inspected = self._clock()
        with suppress(BrokerUnreachableError):
            self._checks.inspect()

    def _follow_group(self) -> None:
        changes = self._source.changes()
        self._give_up(changes.revoked)
        self._waiting += [each for each in changes.assigned if each not in self._waiting]

    def _give_up(self, partitions: Sequence[int]) -> None:
        if not partitions:
            return
        for partition in partitions:
            self._positions.pop(partition, None)
        self._caution.give_up(partitions)
        self._waiting = [each for each in self._waiting if each not in partitions]
        for work in filter(None, (self._work, self._next)):
            work.fetched, work.folded = work.fetched.without(partitions), None
        self._observer.revoked(partitions)
        logger.info("gave up partitions %s", sorted(partitions))

    def _take_over(self) -> None:
        """Claim partitions, see that the log has what comes next, and start fetching them."""
        partitions = self._waiting
        if not partitions:
            return
        # What is in hand was fetched before, and could hold records behind the positions to come.
        while self._work is not None:
            self._begin()
            self._finish()
        self._checks.confirm()
        # Claimed before the log is asked: from then on nobody else moves these positions.
        claimed = self._store.claim(partitions, self._owner)
        if not self._positions:  # or a switch would go unnoticed in what is held already
            self._generation = self._store.info().generation
        for partition, position in claimed.items():
            claimed[partition] = self._within_the_log(position)
        self._waiting = []
        self._positions |= claimed
        self._caution.take_over(claimed)
        self._start({p: held.next_offset for p, held in claimed.items() if not self._is_reached(p)})
        self._observer.assigned(partitions)
        logger.info("took over partitions %s", sorted(partitions))

    def _start(self, next_offsets: Mapping[int, int]) -> None:
        try:
            self._source.start(next_offsets)
        except BrokerUnreachableError:
            # What is claimed and was not started would never be fetched, and nobody would hear.
            self._renew()
            raise

    def _within_the_log(self, position: Position) -> Position:
        """Return the position, moved over a gap that was accepted.

        Raises:
            LogTruncatedError: when the log does not have the record at the position.
        """
        marks = self._source.watermarks(position.partition)
        if any(_covers(gap, position, marks.low) for gap in self._accepted):
            logger.warning(
                "passing over offsets %d to %d of partition %d, which were deleted before they "
                "were folded, as accepted; the store keeps that on record",
                position.next_offset,
                marks.low - 1,
                position.partition,
            )
            position = self._store.accept_gap(position, marks.low)
        if marks.low <= position.next_offset <= marks.high:
            return position
        raise LogTruncatedError(
            self._topic, position.partition, position.next_offset, marks.low, marks.high
        )

    def _is_done(self) -> bool:
        return self._until is not None and all(map(self._is_reached, self._until))

    def _is_reached(self, partition: int) -> bool:
        """Say whether a bounded run is at its end in a partition."""
        if self._until is None:
            return False
        held = self._positions.get(partition)
        return held is not None and held.next_offset >= self._until[partition]


def is_another_live(store: SessionStore, before: Generation | None) -> bool:
    """Say whether another generation is live now; not when the store does not say."""
    with suppress(StoreUnusableError):
        return store.info().generation != before
    return False


def _covers(gap: Gap, position: Position, low: int) -> bool:
    """Say whether a gap that was accepted is what lies between a position and the log's start."""
    is_here = (gap.partition, gap.first) == (position.partition, position.next_offset)
    return is_here and position.next_offset < low <= gap.end
