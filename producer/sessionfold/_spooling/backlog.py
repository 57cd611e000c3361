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


class Backlog:
    """What this process has on disk or is to write there. One thread: the sender's."""

    def __init__(
        self,
        spool: Spool,
        most_bytes: int,
        publisher: Publisher,
        session: Callable[[bytes], Session | None],
        say: Callable[[str, object], None],
        settle_all: Callable[[], None],
    ) -> None:
        self._spool = spool
        self._most_bytes = most_bytes
        self._publisher = publisher
        self._session = session
        self._say = say
        self._settle_all = settle_all
        self._own: Line | None = None
        self._held: dict[tuple[str, ...], Line] = {}
        self._adopted: list[Line] = []
        self._unwritten: list[Spooled] = []
        self._held_unwritten: dict[tuple[str, ...], list[Spooled]] = {}
        self._unwritten_bytes = 0
        # Held journals of which a session may have older events with the publisher.
        self._unclear: set[tuple[str, ...]] = set()
        # Sessions of which events are here, by journal: they must not be forgotten meanwhile.
        self._kept: dict[tuple[str, ...], dict[bytes, Session]] = {}
        self._ends_by = 0.0
        self._retry_at = self._adopt_at = 0.0
        self._sync_at: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether new events must go this way, since older ones have."""
        return self._own is not None or bool(self._unwritten)

    @property
    def has_own(self) -> bool:
        """Whether anything of this process waits here."""
        return self.is_open or bool(self._held) or bool(self._held_unwritten)

    def is_about_to_end(self) -> bool:
        """Say whether all of this process's journal is on its way, so that it is worth waiting.

        In a steady stream of updates it would never be empty else, and grow until it is full. Only
        while the broker acknowledges: with one that is away, the disk must take what comes.
        """
        own = self._own
        if own is None or self._unwritten or not own.is_all_under_way:
            return False
        return time.monotonic() < self._ends_by

    @property
    def wants_clear(self) -> bool:
        """Whether something here waits until the publisher has nothing of this process."""
        return bool(self._unclear) or any(line.is_careful for line in self._lines())

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
            own = [self._own_line()] if self.is_open else []
            if self.holds(session):
                own.append(self._held_line(session.behind))
            session.behind = (*others, *(line.journal.path.name for line in own))
            if session.given:
                self._unclear.add(session.behind)
            return True
        return False

    def holds(self, session: Session) -> bool:
        """Say whether a session's events must wait for another process's spool."""
        behind = session.behind
        if behind and behind not in self._held and behind not in self._held_unwritten:
            session.behind = behind = ()  # gone, and what waited for it is delivered
        return bool(behind)

    def put(self, session: Session, entry: Entry, size: int) -> None:
        """Take an event; it is written by the next :meth:`write`."""
        self._unwritten_bytes += len(entry.value)
        self._kept.setdefault(session.behind, {})[session.key] = session
        if session.behind:
            self._held_unwritten.setdefault(session.behind, []).append((session, entry, size))
        else:
            self._unwritten.append((session, entry, size))

    def write(self, settled: Settled) -> None:
        """Write what was taken; what cannot be written stays in memory and is tried again."""
        now = time.monotonic()
        if now < self._retry_at:
            return
        if self._unwritten and self._wrote(self._own_line, self._unwritten, settled):
            self._unwritten = []
        for behind in list(self._held_unwritten):
            spooled = self._held_unwritten[behind]
            if self._wrote(lambda behind=behind: self._held_line(behind), spooled, settled):  # type: ignore[misc]
                del self._held_unwritten[behind]
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
            done |= self._advance_own(settled)
        done |= self._advance_held(settled)
        done |= self._advance_adopted(settled)
        for line in self._lines():
            if line.trouble:
                self._say("events are not delivered, and stay on disk", line.trouble)
                line.trouble = ""
        return done

    def take_unwritten(self, most: int) -> list[Spooled]:
        """Return events that cannot be written, and that nothing older on the disk is before."""
        if self._own is None and self._unwritten:
            taken = self._taken(self._unwritten, most)
            if not self._unwritten:
                self._kept.pop((), None)
            return taken
        for behind, spooled in self._held_unwritten.items():
            if behind not in self._held and not any(map(self._spool.exists, behind)):
                taken = self._taken(spooled, most)
                if not spooled:
                    del self._held_unwritten[behind]
                    self._kept.pop(behind, None)
                return taken
        return []

    def give_back(self, spooled: list[Spooled]) -> None:
        """Take back the last of what was taken, in front of what came since."""
        self._unwritten_bytes += sum(len(entry.value) for _, entry, _ in spooled)
        behind = spooled[0][0].behind
        waiting = self._held_unwritten.setdefault(behind, []) if behind else self._unwritten
        waiting[:0] = spooled

    def restart(self, publisher: Publisher) -> None:
        """Go on with another publisher."""
        self._publisher = publisher
        for line in self._lines():
            line.restart(publisher)

    def close(self, settled: Settled) -> list[Spooled]:
        """Write and sync what waits, leave it to others; return what could not be written."""
        self._retry_at = 0.0
        self.write(settled)
        for line in self._lines():
            if line.journal.vanished and not line.adopted:
                self._save(line, settled)
        self._sync()
        self._spool.close()
        unwritten = [*self._unwritten, *chain.from_iterable(self._held_unwritten.values())]
        self._unwritten, self._held_unwritten = [], {}
        return unwritten

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's."""
        self._spool.abandon()

    def _let_one_be_careful(self, *, is_clear: bool) -> None:
        """While a line narrows a refusal down, let nothing share a request with its one event."""
        lines = self._lines()
        careful = next((line for line in lines if line.is_careful), None)
        for line in lines:
            line.may_publish = careful is None or line is careful
        if careful is not None:
            others = any(line.is_under_way for line in lines if line is not careful)
            careful.may_publish = is_clear and not others

    def _advance_own(self, settled: Settled) -> bool:
        line = self._own
        if line is None:
            return False
        before = line.journal.waiting
        done = line.advance(settled)
        if line.journal.waiting < before:
            self._ends_by = time.monotonic() + _ENDING_SECONDS
        if line.is_empty:
            self._end(line)
            self._own = None
            self._kept.pop((), None)
            if line.journal.lost_calls and not self._unwritten:
                self._settle_all()
        return done

    def _advance_held(self, settled: Settled) -> bool:
        done = False
        for behind, line in list(self._held.items()):
            if behind not in self._unclear and self._is_free(line):
                done |= line.advance(settled)
                if line.is_empty:
                    self._end(line)
                    for session in self._kept.pop(behind, {}).values():
                        if line.journal.lost_calls and behind not in self._held_unwritten:
                            session.settled = session.accepted
                    del self._held[behind]
        return done

    def _advance_adopted(self, settled: Settled) -> bool:
        done = False
        for line in list(self._adopted):
            if self._is_free(line):
                done |= line.advance(settled)
            if line.is_empty:
                self._end(line)
                self._adopted.remove(line)
        return done

    def _taken(self, spooled: list[Spooled], most: int) -> list[Spooled]:
        # What failed may have been put behind what came later: a journal sorts, a list does not.
        spooled.sort(key=lambda each: each[1].sequence)
        taken, spooled[:most] = spooled[:most], []
        self._unwritten_bytes -= sum(len(entry.value) for _, entry, _ in taken)
        return taken

    def _lines(self) -> list[Line]:
        own = [] if self._own is None else [self._own]
        return [*own, *self._held.values(), *self._adopted]

    def _bytes(self) -> int:
        return sum(line.journal.size_bytes for line in self._lines() if not line.adopted)

    def _own_line(self) -> Line:
        self._own = self._usable(self._own, ())
        return self._own

    def _held_line(self, behind: tuple[str, ...]) -> Line:
        line = self._held[behind] = self._usable(self._held.get(behind), behind)
        return line

    def _usable(self, line: Line | None, behind: tuple[str, ...]) -> Line:
        """Return ``line``, or one in its place when there is none or its file was deleted."""
        if line is None:
            return self._line(behind)
        return self._moved(line, behind) if line.journal.vanished else line

    def _line(self, behind: tuple[str, ...]) -> Line:
        return Line(self._spool.create(behind), self._publisher, self._session)

    def _moved(self, line: Line, behind: tuple[str, ...]) -> Line:
        """Save the events of a file that was deleted under us, into a new one."""
        moved = self._line(behind)
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

    def _save(self, line: Line, settled: Settled) -> None:
        try:
            self._moved(line, line.journal.header.behind)
        except (JournalError, SpoolUnavailableError) as error:
            settled.lost_on_disk += line.journal.waiting_calls
            self._say("the spool was deleted with events in it, which are lost", error)

    def _wrote(self, line: Callable[[], Line], spooled: list[Spooled], settled: Settled) -> bool:
        try:
            line().journal.append([entry for _, entry, _ in spooled])
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
        self._unwritten_bytes -= sum(len(entry.value) for _, entry, _ in spooled)

    def _sync(self) -> None:
        self._sync_at = None
        for line in self._lines():
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
            line = Line(journal, self._publisher, self._session, adopted=True)
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
