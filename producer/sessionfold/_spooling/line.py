"""A journal on its way to the broker: read in order, published, marked as it is delivered."""

from __future__ import annotations

import math
import time
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from sessionfold_schemas import decode

from .._publisher import NotTakenError, sentence
from .journal import JournalError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._inbox import Settled
    from .._publisher import DeliveredRecord, DeliveryError, Publisher
    from .._session import Session
    from .journal import Entry, Journal

_MOST_UNDER_WAY = 4_000
_MOST_BYTES = 4 * 1024 * 1024
_BACKOFF_SECONDS = 1.0


class Resent:
    """One entry that the publisher has, and the taker of its report."""

    __slots__ = ("calls", "is_delivered", "line", "sequence", "session", "value")

    def __init__(self, line: Line, entry: Entry, session: Session | None) -> None:
        self.line = line
        self.sequence = entry.sequence
        self.calls = entry.calls
        self.session = session
        self.is_delivered: bool | None = None
        self.value: bytes | None = None
        """What was refused."""

    def settled(self, error: DeliveryError | None, record: DeliveredRecord) -> None:
        """Take the delivery report."""
        line = self.line
        if error is None:
            self.is_delivered = True
            session = self.session
            if session is not None:
                session.delivered_through = max(session.delivered_through, self.sequence)
        elif not line.publisher.is_refusal(error):
            line.trouble = sentence(error)
            line.fail()
        elif line.is_careful and not line.begins_again:
            self.refused(record.value())
        else:
            line.be_careful()
        line.reports += 1

    def refused(self, value: bytes | None) -> None:
        """Take it that the event can never be taken."""
        self.is_delivered, self.value = False, value


class Line:
    """Publishes a journal's entries in the order of their numbers. One thread.

    Only a prefix is ever marked as delivered. When an entry is not delivered, everything behind the
    mark is published again: the fold is right after any repeated *suffix* of a session, and could
    be wrong after an old event alone.

    A broker refuses a request as a whole, for one event in it or for its size. So after a refusal
    the same events are published one by one, and only what is refused alone is given up.

    Args:
        sessions: this process's sessions by key, whose books the journal's events are in.
        adopted: whether the events are of an earlier process, and in no session's books.
    """

    def __init__(
        self,
        journal: Journal,
        publisher: Publisher,
        sessions: Mapping[bytes, Session],
        *,
        adopted: bool = False,
    ) -> None:
        self.journal = journal
        self.publisher = publisher
        self.adopted = adopted
        self.is_free = not journal.header.behind
        self.look_at = 0.0
        self.reports = 0
        self._sessions = sessions
        self._under_way: deque[Resent] = deque()
        self._unpublished: list[Entry] = []
        self._published = 0
        self._has_failed = False
        self._not_before = 0.0
        self._careful_through = -1
        self.may_publish = True
        self.acknowledged_at = -math.inf
        """When the last of its events was known to be settled, by the monotonic clock."""
        self.trouble = ""
        """Why an event was not delivered, the last time; empty when that was told."""

    @property
    def is_all_under_way(self) -> bool:
        """Whether the publisher has all that waits, and nothing of it has failed."""
        waiting = self.journal.waiting
        return not self._has_failed and 0 < waiting == len(self._under_way)

    @property
    def is_under_way(self) -> bool:
        """Whether the publisher has anything of it."""
        return self.reports < self._published

    @property
    def begins_again(self) -> bool:
        """Whether it waits for the last reports, to publish the same events again."""
        return self._has_failed

    @property
    def is_careful(self) -> bool:
        """Whether one event is published at a time."""
        return self._careful_through >= 0

    @property
    def is_empty(self) -> bool:
        """Whether everything in the journal is delivered and marked."""
        return not self.journal.waiting

    def fail(self) -> None:
        """Begin again behind the mark, when all reports are in and after a pause."""
        self._has_failed = True
        self._not_before = time.monotonic() + _BACKOFF_SECONDS

    def read_again(self) -> None:
        """Begin again behind the mark: somebody else has read from the journal."""
        self._has_failed = True

    def be_careful(self) -> None:
        """Begin again behind the mark, with one event at a time as far as this time."""
        self._has_failed = True
        self._careful_through = self._under_way[-1].sequence

    def advance(self, settled: Settled) -> bool:
        """Mark what was delivered and publish what may follow; return whether anything was done."""
        marked = self._mark_delivered(settled)
        if self._has_failed:
            if self.reports == self._published:
                self._begin_again()
            return marked
        if time.monotonic() < self._not_before or not self.may_publish:
            return marked
        return self._publish_more(settled) or marked

    def restart(self, publisher: Publisher) -> None:
        """Go on with another publisher; the one before has reported on everything."""
        self.publisher = publisher
        if self._under_way or self._unpublished:
            self._begin_again()

    def _begin_again(self) -> None:
        self._under_way.clear()
        self._unpublished = []
        self._published = self.reports = 0
        self._has_failed = False
        self.journal.rewind()

    def _mark_delivered(self, settled: Settled) -> bool:
        last: Resent | None = None
        waiting = self._under_way
        while waiting and waiting[0].is_delivered is not None:
            last = waiting.popleft()
            self._count(last, settled)
        if last is not None:
            self.acknowledged_at = time.monotonic()
            if last.sequence >= self._careful_through:
                self._careful_through = -1
            # A mark that cannot be written costs a repetition at most.
            with suppress(JournalError):
                self.journal.mark(last.sequence)
        return last is not None

    def _count(self, resent: Resent, settled: Settled) -> None:
        if self.adopted:
            settled.adopted_waiting -= resent.calls
            settled.adopted_delivered += resent.calls if resent.is_delivered else 0
            return
        session = resent.session
        if resent.is_delivered:
            settled.unspooled += resent.calls
        else:
            settled.lost_on_disk += resent.calls
            if session is not None and resent.value is not None:
                _, event = decode(resent.value, key=session.key)
                session.client.add_lost(session, resent.calls + event["lost_before"])
        if session is not None:
            session.settled += resent.calls

    def _publish_more(self, settled: Settled) -> bool:
        most = 1 if self.is_careful else _MOST_UNDER_WAY
        room = most - len(self._under_way)
        if room <= most // 4:
            return False
        entries = self._unpublished or self._read(room, settled)
        for number, entry in enumerate(entries):
            resent = Resent(self, entry, self._sessions.get(entry.key))
            try:
                self.publisher.publish(entry.key, entry.value, resent.settled)
                self._published += 1
            except NotTakenError as error:
                if not error.final:
                    # No failure: there will be room when others are delivered.
                    self._unpublished = entries[number:]
                    return number > 0
                resent.refused(entry.value)
            self._under_way.append(resent)
        self._unpublished = []
        return bool(entries)

    def _read(self, most: int, settled: Settled) -> list[Entry]:
        """Read the next entries, and count those that turn out to be damaged as lost."""
        lost_before = self.journal.lost_calls
        try:
            return self.journal.read(most, _MOST_BYTES)
        except JournalError:
            self._not_before = time.monotonic() + _BACKOFF_SECONDS
            return []
        finally:
            lost = self.journal.lost_calls - lost_before
            if self.adopted:
                settled.adopted_waiting -= lost
            else:
                settled.lost_on_disk += lost
