"""The loop: fetch a batch, fold it, store it with its positions, again.

Positions are the store's alone. A partition that is given to this process is first claimed in the
store, which fences whoever held it before, and then fetched from the position found there; so after
any crash, hand-over or replay the store is the fold of a prefix of the log.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from .commit import Commit, prepare
from .errors import BrokerUnreachableError, LogTruncatedError, StoreBusyError
from .source import Fetched, Source
from .store import Position, SessionStore

logger = logging.getLogger("sessionfold_consumer")

FETCH_SECONDS = 0.2
"""The longest wait for a batch to fill, and so a bound on how old a record is when it is folded."""


_PATIENCE_SECONDS = 1.0
_CONFIRM_SECONDS = 15.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a service is; told after each step."""

    records: int
    """Records this run has accounted for, dead letters included."""
    dead_letters: int
    """Records this run has set aside."""
    next_offsets: Mapping[int, int]
    """For each partition this process holds, the offset of the next record to fold."""
    ends: Mapping[int, int]
    """For each of these partitions the offset to reach: the log's end, as last heard."""

    @property
    def lag(self) -> int:
        """Records that are in the log and not yet in the store."""
        return sum(max(0, end - self.next_offsets.get(p, end)) for p, end in self.ends.items())


def confirm_nothing() -> None:
    """Take every topic for the store's: for a source that has no identity."""


def ignore_progress(_: Progress) -> None:
    """Take progress and do nothing with it."""


class Service:
    """Folds one topic into one store. Belongs to one thread; used once.

    Args:
        source: gives records; the service closes neither it nor the store.
        store: bound to the source's topic already.
        topic: its name, for messages.
        owner: a name for this process, kept in the store beside the partitions it holds.
        batch_records: the most records in one transaction.
        until: for each partition the offset to stop before; None runs until told to stop.
        confirm: sees that the topic is still the store's; asked after records were fetched and
            before they are stored, so that no record of another topic ever is. Raises
            ``TopicChangedError``, or ``BrokerUnreachableError`` to be asked again.
        on_progress: called after each step, several times a second, in the service's thread.
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
        on_progress: Callable[[Progress], None] = ignore_progress,
        confirm: Callable[[], None] = confirm_nothing,
    ) -> None:
        self._source = source
        self._store = store
        self._topic = topic
        self._owner = owner
        self._batch_records = batch_records
        self._until = until
        self._on_progress = on_progress
        self._confirm = confirm
        self._confirmed = time.monotonic()
        self._stopping: Callable[[], bool] = lambda: False
        self._positions: dict[int, Position] = {}
        self._waiting: list[int] = []
        self._records = self._dead_letters = 0

    def run(self, stopping: Callable[[], bool] = lambda: False) -> Progress:
        """Fold until ``stopping`` says so (asked between batches) or the end is reached.

        Raises:
            FencedError: when another process has taken a partition over; start again.
            LogTruncatedError: when the log does not have what has to be folded next.
            StoreUnusableError: when the store cannot be written; what was committed is right.
            TopicChangedError: when the topic is no longer the one that the store was built from.
        """
        self._stopping = stopping
        while not stopping() and not self._is_done():
            self.step()
        return self.progress()

    def step(self) -> None:
        """Fetch, fold and store one batch, and follow what the group gave and took."""
        fetched = self._fetch()
        changes = self._source.changes()
        self._give_up(changes.revoked)
        self._write(prepare(fetched, self._positions, self._until))
        self._take_over([*self._waiting, *changes.assigned])
        self._confirm_now_and_then()
        self._on_progress(self.progress())

    def progress(self) -> Progress:
        """Return how far the service is now."""
        return Progress(
            records=self._records,
            dead_letters=self._dead_letters,
            next_offsets={p: position.next_offset for p, position in self._positions.items()},
            ends=self._source.known_ends() if self._until is None else self._until,
        )

    def _fetch(self) -> Fetched:
        try:
            return self._source.fetch(self._batch_records, FETCH_SECONDS)
        except LogTruncatedError:
            # The log of a topic that was created again looks truncated, too.
            with suppress(BrokerUnreachableError):
                self._confirm()
            raise

    def _write(self, commit: Commit) -> None:
        if not commit.advances:
            return
        if not self._patiently(lambda: self._commit(commit)):
            return
        moved = {
            advance.position.partition: replace(advance.position, next_offset=advance.next_offset)
            for advance in commit.advances
        }
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
        self._source.acknowledge({p: position.next_offset for p, position in moved.items()})
        self._source.pause([p for p in moved if self._is_reached(p)])

    def _commit(self, commit: Commit) -> None:
        self._confirm()
        self._store.commit(commit.advances, commit.rows, commit.dead_letters)

    def _confirm_now_and_then(self) -> None:
        """Notice also in a silent topic that it was deleted or repartitioned."""
        if time.monotonic() - self._confirmed < _CONFIRM_SECONDS:
            return
        self._confirmed = time.monotonic()
        with suppress(BrokerUnreachableError):
            self._confirm()

    def _patiently(self, act: Callable[[], None]) -> bool:
        """Act until it succeeds or the service is told to stop; return whether it did."""
        while True:
            try:
                act()
            except (BrokerUnreachableError, StoreBusyError) as error:
                logger.warning("waiting: %s", error)
            else:
                return True
            if self._stopping():
                return False
            time.sleep(_PATIENCE_SECONDS)

    def _give_up(self, partitions: Sequence[int]) -> None:
        for partition in partitions:
            self._positions.pop(partition, None)
        self._waiting = [each for each in self._waiting if each not in partitions]
        if partitions:
            logger.info("gave up partitions %s", sorted(partitions))

    def _take_over(self, partitions: Sequence[int]) -> None:
        """Claim partitions, see that the log has what comes next, and start fetching them."""
        self._waiting = list(partitions)
        if not partitions:
            return
        try:
            self._confirm()
            # Claimed before the log is asked: from then on nobody else moves these positions.
            claimed = self._store.claim(partitions, self._owner)
            marks = {partition: self._source.watermarks(partition) for partition in partitions}
        except (BrokerUnreachableError, StoreBusyError) as error:
            logger.warning("the partitions %s wait: %s", sorted(partitions), error)
            return
        for partition, position in claimed.items():
            low, high = marks[partition].low, marks[partition].high
            if not low <= position.next_offset <= high:
                raise LogTruncatedError(self._topic, partition, position.next_offset, low, high)
        self._positions |= claimed
        self._waiting = []
        self._source.start(
            {p: held.next_offset for p, held in claimed.items() if not self._is_reached(p)}
        )
        logger.info("took over partitions %s", sorted(partitions))

    def _is_done(self) -> bool:
        return self._until is not None and all(map(self._is_reached, self._until))

    def _is_reached(self, partition: int) -> bool:
        """Say whether a bounded run is at its end in a partition."""
        if self._until is None:
            return False
        held = self._positions.get(partition)
        return held is not None and held.next_offset >= self._until[partition]
