"""Events that go by way of the disk, and their order.

Three kinds of journal, each a :class:`~.line.Line`:

- this process's own: while it exists, every new event goes into it, so that the order of calls
  stays the order of the log;
- the held: events of sessions of which another process's spool still has older ones; published when
  that spool is gone;
- the adopted: what processes left behind that are gone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING

from .journal import Entry, JournalError
from .line import Line
from .spool import SpoolUnavailableError

if TYPE_CHECKING:
    from .._inbox import Settled
    from .._publisher import Publisher
    from .._session import Session
    from .spool import Spool

logger = logging.getLogger("sessionfold")

_SYNC_SECONDS = 1.0
_LOOK_SECONDS = 0.5
"""How often it is looked whether a spool that is waited for has gone."""
_ADOPT_SECONDS = 30.0
_MOST_ADOPTED = 8
"""Each holds two descriptors, and events in the client's queue."""
_RETRY_SECONDS = 1.0
_ENDING_SECONDS = 0.1
"""How long after an acknowledgement it is worth waiting for the last ones."""

Spooled = tuple["Session", Entry, int]
"""An event for the disk, its session, and the bytes it is charged with in memory."""

Behind = tuple[str, ...]
"""The names of the spool files that a journal must wait for."""

_OWN: Behind = ()
"""What waits for none: this process's own journal."""


class Backlog:
    """What this process has on disk or is to write there. One thread: the sender's."""

    def __init__(
        self,
        spool: Spool,
        most_bytes: int,
        publisher: Publisher,
        say: Callable[[str, object], None],
    ) -> None:
        self._spool = spool
        self._most_bytes = most_bytes
        self._publisher = publisher
        self._say = say
        # The own and the held journals, what is to be written to each (never an empty list), and
        # the sessions of these events, by key: they must not be forgotten meanwhile.
        self._lines: dict[Behind, Line] = {}
        self._unwritten: dict[Behind, list[Spooled]] = {}
        self._sessions: dict[Behind, dict[bytes, Session]] = {}
        self._adopted: list[Line] = []
        self._unwritten_bytes = 0
        # Held journals of which a session may have older events with the publisher.
        self._unclear: set[Behind] = set()
        self._retry_at = self._adopt_at = 0.0
        self._sync_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether new events must go this way, since older ones have."""
        return self._has(_OWN)

    @property
    def has_own(self) -> bool:
        """Whether anything of this process waits here."""
        return bool(self._lines or self._unwritten)

    def is_about_to_end(self) -> bool:
        """Say whether all of this process's journal is on its way, so that it is worth waiting.

        In a steady stream of updates it would never be empty else, and grow until it is full. Only
        while the broker acknowledges: with one that is away, the disk must take what comes.
        """
        own = self._lines.get(_OWN)
        if own is None or _OWN in self._unwritten or not own.is_all_under_way:
            return False
        return time.monotonic() < own.acknowledged_at + _ENDING_SECONDS

    @property
    def wants_clear(self) -> bool:
        """Whether something here waits until the publisher has nothing of this process."""
        return bool(self._unclear) or any(line.is_careful for line in self._all_lines())

    def can_take(self) -> bool:
        """Say whether new events may come: there is room, and writing does not fail just now."""
        return time.monotonic() >= self._retry_at and self.room_bytes() > 0

    def room_bytes(self) -> int:
        """Return how many bytes more are within the bound."""
        return self._most_bytes - self._bytes() - self._unwritten_bytes

    def place(self, session: Session) -> bool:
        """Find out whether, and behind which spools, a session's next events have to wait anew.

        A session may come back to this process, and have events in its journals, too, which are
        older than those that are placed now.
        """
        others = self._spool.others_with(session.key)
        if not others or (self.holds(session) and set(others) <= set(session.behind)):
            return False
        with suppress(JournalError, SpoolUnavailableError):
            own = [self._line_for(_OWN)] if self.is_open else []
            if self.holds(session):
                own.append(self._line_for(session.behind))
            session.behind = (*others, *(line.journal.path.name for line in own))
            if session.given:
                self._unclear.add(session.behind)
            return True
        return False

    def holds(self, session: Session) -> bool:
        """Say whether a session's events must wait for another process's spool."""
        if not self._has(session.behind):
            session.behind = _OWN  # gone, and what waited for it is delivered
        return session.behind != _OWN

    def put(self, session: Session, entry: Entry, size: int) -> None:
        """Take an event; it is written by the next :meth:`write`."""
        self._unwritten_bytes += len(entry.value)
        self._sessions_of(session.behind)[session.key] = session
        self._unwritten.setdefault(session.behind, []).append((session, entry, size))

    def write(self, settled: Settled) -> None:
        """Write what was taken; what cannot be written stays in memory and is tried again."""
        now = time.monotonic()
        if now < self._retry_at:
            return
        for behind, spooled in list(self._unwritten.items()):
            if self._wrote(behind, spooled, settled):
                del self._unwritten[behind]
        if self._sync_at is not None and now >= self._sync_at:
            self._sync()

    def advance(self, settled: Settled, *, is_clear: bool) -> bool:
        """Publish what may be published; return whether anything was done.

        Args:
            is_clear: whether no event of this process is with the publisher or waits to be placed.
        """
        done = self._adopt(settled)
        self._let_one_be_careful(is_clear=is_clear)
        if is_clear:
            self._unclear.clear()
        for behind, line in list(self._lines.items()):
            if behind not in self._unclear and (is_clear or behind != _OWN):
                done |= self._advance_line(line, settled)
                if line.is_empty:
                    self._end_own(behind, line)
        for line in list(self._adopted):
            done |= self._advance_line(line, settled)
            if line.is_empty:
                self._end(line)
                self._adopted.remove(line)
        self._tell_troubles()
        return done

    def take_unwritten(self, most: int) -> list[Spooled]:
        """Return events that cannot be written, and that nothing older on the disk is before."""
        for behind, spooled in self._unwritten.items():
            if behind in self._lines or any(map(self._spool.exists, behind)):
                continue
            # What failed may have been put behind what came later: a journal sorts, a list not.
            spooled.sort(key=lambda each: each[1].sequence)
            taken, spooled[:most] = spooled[:most], []
            self._unwritten_bytes -= _bytes_of(taken)
            if not spooled:
                del self._unwritten[behind], self._sessions[behind]
            return taken
        return []

    def give_back(self, spooled: list[Spooled]) -> None:
        """Take back the last of what was taken, in front of what came since."""
        self._unwritten_bytes += _bytes_of(spooled)
        behind = spooled[0][0].behind
        self._sessions_of(behind).update((session.key, session) for session, _, _ in spooled)
        self._unwritten.setdefault(behind, [])[:0] = spooled

    def restart(self, publisher: Publisher) -> None:
        """Go on with another publisher."""
        self._publisher = publisher
        for line in self._all_lines():
            line.restart(publisher)

    def close(self, settled: Settled) -> list[Spooled]:
        """Write and sync what waits, leave it to others; return what could not be written."""
        self._retry_at = 0.0
        self.write(settled)
        for behind, line in self._lines.items():
            if line.journal.vanished:
                self._save(behind, line, settled)
        self._sync()
        self._spool.close()
        unwritten = list(chain.from_iterable(self._unwritten.values()))
        self._unwritten.clear()
        return unwritten

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's."""
        self._spool.abandon()

    def _let_one_be_careful(self, *, is_clear: bool) -> None:
        """While a line narrows a refusal down, let nothing share a request with its one event."""
        lines = self._all_lines()
        careful = next((line for line in lines if line.is_careful), None)
        for line in lines:
            line.may_publish = careful is None or line is careful
        if careful is not None:
            others = any(line.is_under_way for line in lines if line is not careful)
            careful.may_publish = is_clear and not others

    def _advance_line(self, line: Line, settled: Settled) -> bool:
        return self._is_free(line) and line.advance(settled)

    def _tell_troubles(self) -> None:
        for line in self._all_lines():
            if line.trouble:
                self._say("events are not delivered, and stay on disk", line.trouble)
                line.trouble = ""

    def _end_own(self, behind: Behind, line: Line) -> None:
        """End a journal of this process; it may be needed again, for what could not be written."""
        self._end(line)
        del self._lines[behind]
        if behind in self._unwritten:
            return
        for session in self._sessions.pop(behind).values():
            # Of damaged events it is not known whose they were; nothing waits here any more.
            if line.journal.lost_calls and session.behind == behind:
                session.settled = session.accepted

    def _has(self, behind: Behind) -> bool:
        return behind in self._lines or behind in self._unwritten

    def _sessions_of(self, behind: Behind) -> dict[bytes, Session]:
        return self._sessions.setdefault(behind, {})

    def _all_lines(self) -> list[Line]:
        return [*self._lines.values(), *self._adopted]

    def _bytes(self) -> int:
        return sum(line.journal.size_bytes for line in self._lines.values())

    def _line_for(self, behind: Behind) -> Line:
        """Return the line of a journal, a new one where there is none or its file was deleted."""
        line = self._lines.get(behind)
        if line is None:
            line = self._lines[behind] = self._new_line(behind)
        elif line.journal.vanished:
            line = self._lines[behind] = self._moved(behind, line)
        return line

    def _new_line(self, behind: Behind) -> Line:
        return Line(self._spool.create(behind), self._publisher, self._sessions_of(behind))

    def _moved(self, behind: Behind, line: Line) -> Line:
        """Save the events of a file that was deleted under us, into a new one."""
        moved = self._new_line(behind)
        line.journal.rewind()
        try:
            while entries := line.journal.read(1_000, 1 << 20):
                moved.journal.append(entries)
        except JournalError:
            self._end(moved)
            line.read_again()
            raise
        self._spool.release(line.journal)
        return moved

    def _save(self, behind: Behind, line: Line, settled: Settled) -> None:
        try:
            self._moved(behind, line)
        except (JournalError, SpoolUnavailableError) as error:
            settled.lost_on_disk += line.journal.waiting_calls
            self._say("the spool was deleted with events in it, which are lost", error)

    def _wrote(self, behind: Behind, spooled: list[Spooled], settled: Settled) -> bool:
        try:
            self._line_for(behind).journal.append([entry for _, entry, _ in spooled])
        except (JournalError, SpoolUnavailableError) as error:
            self._retry_at = time.monotonic() + _RETRY_SECONDS
            self._say("events cannot be spooled, and wait in memory", error)
            return False
        except ValueError:
            # Younger ones are on their way already: these may not come behind them.
            logger.exception("spooled events are out of order, and given up")
            for session, entry, _ in spooled:
                settled.dropped += entry.calls
                session.settled += entry.calls
                session.client.add_lost(session, entry.calls)
            self._count_out(spooled, settled)
            return True
        settled.spooled += sum(entry.calls for _, entry, _ in spooled)
        self._count_out(spooled, settled)
        if self._sync_at is None:
            self._sync_at = time.monotonic() + _SYNC_SECONDS
        return True

    def _count_out(self, spooled: list[Spooled], settled: Settled) -> None:
        """Count events out of the memory."""
        settled.events += len(spooled)
        settled.bytes += sum(size for _, _, size in spooled)
        self._unwritten_bytes -= _bytes_of(spooled)

    def _sync(self) -> None:
        self._sync_at = None
        for line in self._all_lines():
            try:
                line.journal.sync()
            except JournalError as error:
                self._say("the spool cannot be synced", error)

    def _adopt(self, settled: Settled) -> bool:
        now = time.monotonic()
        room = _MOST_ADOPTED - len(self._adopted)
        if now < self._adopt_at or self.is_open or room <= 0:
            return False
        claimed = self._spool.claim_orphans(room)
        # With as many as there was room for, there may be more as soon as there is room again.
        self._adopt_at = now if len(claimed) == room else now + _ADOPT_SECONDS
        for journal in claimed:
            line = Line(journal, self._publisher, {}, adopted=True)
            self._adopted.append(line)
            settled.adopted_waiting += journal.waiting_calls
        return bool(claimed)

    def _is_free(self, line: Line) -> bool:
        """Say whether the spools that ``line`` must wait for are gone."""
        if line.is_free:
            return True
        if time.monotonic() >= line.look_at:
            line.look_at = time.monotonic() + _LOOK_SECONDS
            line.is_free = not any(map(self._spool.exists, line.journal.header.behind))
        return line.is_free

    def _end(self, line: Line) -> None:
        """Delete a file that is delivered; should a power cut bring it back, its mark says so."""
        with suppress(JournalError):
            line.journal.sync()
        line.journal.remove()
        self._spool.release(line.journal)


def _bytes_of(spooled: list[Spooled]) -> int:
    return sum(len(entry.value) for _, entry, _ in spooled)
