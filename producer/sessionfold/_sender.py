"""The one thread behind the calls: it numbers and encodes events, hands them over, takes reports.

A :class:`Sender` does its work in rounds. In a process each round is one turn of its thread; in
tests, and where no thread can be started any more, whoever waits turns it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from sessionfold_schemas import decode, encode, encoder, text_bytes

from ._complaints import Complaints
from ._inbox import Inbox, Settled, Update
from ._publisher import QUEUE_IS_FULL, NotTakenError, sentence
from ._spooling.journal import Entry

if TYPE_CHECKING:
    from ._client import Client
    from ._publisher import DeliveredRecord, DeliveryError, Publisher
    from ._session import Session
    from ._spooling.backlog import Backlog

logger = logging.getLogger("sessionfold")

_MOST_AT_ONCE = 500
_MOST_ROUNDS = 10
"""So many full rounds follow each other without a pause. Between two the interpreter's lock is free
for a moment only, too short for a thread that wakes up for it, and its wait begins anew."""
_HANDED_SHARE = 3 / 4
"""Of the queue's room: what is not handed over yet can still be joined by later updates."""

_BREATH_SECONDS = 0.001
_PACE_SECONDS = 0.005
_SLOW_PACE_SECONDS = 0.05
_IDLE_SECONDS = 1.0
_QUIET_ROUNDS = 20
_HURRY_SECONDS = 0.002
_RENEW_SECONDS = 1.0
_SILENCE_SECONDS = 30.0

_ENDED = "the process ended before they were delivered"
_OVERTAKEN = "not delivered in time, and newer values of the session were"
_REFUSED = "the broker refuses it, or what was spooled of it is damaged"

_NOTHING = Settled()


class Flight:
    """One event that the publisher has, and the taker of its report."""

    __slots__ = ("bytes", "calls", "lost", "sender", "sequence", "session")

    def __init__(
        self, sender: Sender, session: Session, sequence: int, calls: int, size: int, lost: int
    ) -> None:
        self.sender = sender
        self.session = session
        self.sequence = sequence
        self.calls = calls
        self.bytes = size
        self.lost = lost
        """The losses that it tells of."""

    def settled(self, error: DeliveryError | None, record: DeliveredRecord) -> None:
        """Take the delivery report."""
        sender = self.sender
        if error is not None:
            sender.failed(self, record, error)
            return
        sender.delivered += self.calls
        sender.landed += 1
        sender.landed_bytes += self.bytes
        session = self.session
        session.settled += self.calls
        session.delivered_through = max(session.delivered_through, self.sequence)


class Sender:
    """Sees every update delivered, spooled or dropped, in the order of calls. One thread."""

    def __init__(
        self,
        client: Client,
        make_publisher: Callable[[], Publisher],
        make_backlog: Callable[[Publisher, Callable[[str, object], None]], Backlog | None],
    ) -> None:
        self.client = client
        self.inbox: Inbox = client.inbox
        self.round = Settled()
        self.has_finished = False
        self._producer_bytes = text_bytes(client.producer_id)
        self._make_publisher = make_publisher
        self._publisher = make_publisher()
        self._complaints = Complaints(client.tell_failure)
        self._backlog = make_backlog(self._publisher, self._complaints.say)
        queue = client.configuration
        self._most_handed = max(1, int(queue.queue_events * _HANDED_SHARE))
        self._most_handed_bytes = int(queue.queue_kilobytes * 1024 * _HANDED_SHARE)
        # Reports of success since they were last counted: so a report is a few additions.
        self.delivered = self.landed = self.landed_bytes = 0
        self._sequence = 0
        self._handed = self._handed_bytes = 0
        self._failed: list[tuple[Flight, bytes]] = []
        self._spooling = False
        self._renew_at = 0.0
        self._full_rounds = 0
        self._quiet = 0
        self._heard_at = time.monotonic()

    def run(self) -> None:
        """Turn rounds until the inbox is closed and what waits is delivered, or time is out."""
        self.inbox.sender_thread = threading.get_ident()
        while not self.inbox.is_closed:
            self._guarded(self.step)
        while time.monotonic() < self.client.closes_at and not self.is_clear():
            self._guarded(self.step)
        self._guarded(self.finish)
        self.has_finished = True
        self.inbox.settle(Settled())

    def step(self, pause_seconds: float | None = None) -> bool:
        """Do one round: take, send, hear, write, settle; return whether more is there to send.

        Args:
            pause_seconds: how long to wait for reports or updates; None is as the work asks.
        """
        sent = self._send_some()
        self._publisher.poll(0.0)
        reported = self._count_landed()
        if self._failed and not self._handed:
            self._spool_failed()
        moved = self._advance_backlog()
        self._settle()
        if self._publisher.has_failed():
            self._renew_publisher()
        self._quiet = 0 if sent or reported or moved else self._quiet + 1
        self._look_for_silence(reported > 0 or moved)
        is_behind = sent == _MOST_AT_ONCE
        self._pause(pause_seconds, is_behind=is_behind)
        return is_behind

    def finish(self) -> None:
        """Stop: spool what can be spooled, drop the rest. Nothing is accepted any more."""
        self._publisher.close()
        self._count_landed()
        self._spool_failed()
        while not self.inbox.finish():
            self._send_some(closing=True)
        if self._backlog is not None:
            for session, entry, size in self._backlog.close(self.round):
                self._drop(_flight_of(self, session, entry, size), _ENDED)
        self._settle()
        self._complaints.tell_dropped(at_last=True)

    def has_counted(self) -> bool:
        """Say whether all reports so far are in the books."""
        return not self.landed and self.round == _NOTHING

    def is_clear(self) -> bool:
        """Say whether everything of this process is delivered or given up."""
        backlog = self._backlog
        return (
            self.inbox.is_empty
            and not self._handed
            and not self._failed
            and (backlog is None or not backlog.has_own)
        )

    def failed(self, flight: Flight, record: DeliveredRecord, error: DeliveryError) -> None:
        """Take the report of an event that was not delivered, as far as is known."""
        self._handed -= 1
        self._handed_bytes -= flight.bytes
        value = record.value() or b""
        if self._backlog is None:
            self._drop(flight, sentence(error))
            return
        self._failed.append((flight, value))
        if not self.inbox.is_closed:
            self._complaints.say("events are not delivered, and kept", sentence(error))

    def abandon(self) -> None:
        """In a forked child: let go of what is the parent's."""
        if self._backlog is not None:
            self._backlog.abandon()

    def _send_some(self, *, closing: bool = False) -> int:
        """Send the oldest updates that there is room for; return how many."""
        room, room_bytes = self._room(closing)
        updates, skipped = self.inbox.take(room, room_bytes)
        for update in updates:
            self._send(update, closing)
        if skipped:
            # They were dropped while these waited; the gap in the numbers is for audits.
            self._sequence += skipped
            self._complaints.note_dropped(skipped, QUEUE_IS_FULL)
        return len(updates)

    def _send(self, update: Update, closing: bool) -> None:
        session, fields, occurred_at, calls, size = update
        sequence = self._sequence
        self._sequence = sequence + 1
        lost = self.client.take_lost(session) if session.lost else 0
        flight = Flight(self, session, sequence, calls, size, lost)
        try:
            value = self._encoded(session, occurred_at, sequence, lost, fields)
        except Exception as error:  # checked values can be encoded; if not, it must not be silent
            logger.exception("an update could not be encoded")
            self._drop(flight, f"{type(error).__name__} when it was encoded")
            return
        self._place(flight, value, closing)
        if self._backlog is not None:
            session.given.update(dict.fromkeys(fields, sequence))

    def _encoded(
        self, session: Session, occurred_at: int, sequence: int, lost: int, fields: dict[str, Any]
    ) -> bytes:
        for value in fields.values():
            if value.__class__ is str and "\0" in value:
                self.client.values.repair(fields)
                break
        try:
            return encoder(*fields)(
                session.prefix, occurred_at, self._producer_bytes, sequence, lost, fields
            )
        except UnicodeEncodeError:
            self.client.values.repair(fields)
            return self._encoded(session, occurred_at, sequence, lost, fields)

    def _room(self, closing: bool) -> tuple[int, int]:
        """Return how many events, and bytes, there is room for, wherever they are to go."""
        backlog = self._backlog
        if closing:
            return _MOST_AT_ONCE, self._most_handed_bytes
        room = min(_MOST_AT_ONCE, self._most_handed - self._handed)
        room_bytes = self._most_handed_bytes - self._handed_bytes
        if backlog is None:
            return room, room_bytes
        self._spooling = (
            backlog.is_open
            or backlog.wants_clear
            or bool(self._failed)
            or room <= 0
            or room_bytes <= 0
        )
        if not self._spooling:
            return room, room_bytes
        may_take = backlog.can_take() and not backlog.is_about_to_end()
        return (_MOST_AT_ONCE if may_take else 0), backlog.room_bytes()

    def _place(self, flight: Flight, value: bytes, closing: bool) -> None:
        """Hand an event to the publisher, or to the backlog when older ones are there."""
        backlog, session = self._backlog, flight.session
        if backlog is not None and (closing or self._spooling or self._is_held(backlog, session)):
            self._spool(backlog, flight, value)
            return
        if closing:
            self._drop(flight, _ENDED)
            return
        try:
            self._publisher.publish(session.key, value, flight.settled)
        except NotTakenError as error:
            if backlog is None or error.final:
                self._drop(flight, str(error))
                return
            self._spooling = True
            self._spool(backlog, flight, value)
            return
        self._handed += 1
        self._handed_bytes += flight.bytes

    def _is_held(self, backlog: Backlog, session: Session) -> bool:
        """Say whether another process's spool has older events of this session."""
        if not session.is_placed:
            session.is_placed = True
            if backlog.place(session):
                return True
        return bool(session.behind) and backlog.holds(session)

    def _spool(self, backlog: Backlog, flight: Flight, value: bytes) -> None:
        session = flight.session
        if not session.is_placed:
            self._is_held(backlog, session)
        entry = Entry(flight.sequence, flight.calls, session.key, value)
        backlog.put(session, entry, flight.bytes)

    def _spool_failed(self) -> None:
        """Spool what was not delivered, once no event of it can still be on its way.

        An event that a later one of its session has overtaken keeps those fields only that nothing
        has given since: an old value must not come behind a newer one.
        """
        failed, self._failed = self._failed, []
        for flight, value in sorted(failed, key=lambda each: each[0].sequence):
            assert self._backlog is not None  # noqa: S101 - else it was dropped at once
            current = _still_current(flight, value)
            if current is None:
                self._drop(flight, _OVERTAKEN)
            else:
                self._spool(self._backlog, flight, current)

    def _drop(self, flight: Flight, reason: str) -> None:
        self.client.add_lost(flight.session, flight.calls + flight.lost)
        flight.session.settled += flight.calls
        settled = self.round
        settled.dropped += flight.calls
        settled.events += 1
        settled.bytes += flight.bytes
        self._complaints.note_dropped(flight.calls, reason)

    def _count_landed(self) -> int:
        landed, size = self.landed, self.landed_bytes
        settled = self.round
        settled.delivered += self.delivered
        settled.events += landed
        settled.bytes += size
        self._handed -= landed
        self._handed_bytes -= size
        self.delivered = self.landed = self.landed_bytes = 0
        return landed

    def _advance_backlog(self) -> bool:
        backlog = self._backlog
        if backlog is None:
            return False
        backlog.write(self.round)
        is_clear = not self._handed and not self._failed
        moved = backlog.advance(self.round, is_clear=is_clear)
        if self.round.lost_on_disk:
            self._complaints.note_dropped(self.round.lost_on_disk, _REFUSED)
        if is_clear:
            self._send_unwritten(backlog)
        return moved

    def _send_unwritten(self, backlog: Backlog) -> None:
        """Send from memory what there is no disk for, once nothing older is before it."""
        spooled = backlog.take_unwritten(self._most_handed)
        for number, (session, entry, size) in enumerate(spooled):
            flight = _flight_of(self, session, entry, size)
            try:
                self._publisher.publish(entry.key, entry.value, flight.settled)
            except NotTakenError as error:
                if not error.final:
                    backlog.give_back(spooled[number:])
                    return
                self._drop(flight, str(error))
            else:
                self._handed += 1
                self._handed_bytes += size

    def _settle(self) -> None:
        settled = self.round
        if settled != _NOTHING:
            self.round = Settled()
            self.inbox.settle(settled)
        self._complaints.tell_dropped()

    def _look_for_silence(self, has_heard: bool) -> None:
        """Say it when nothing is acknowledged for long: no other line may tell of a wrong topic."""
        now = time.monotonic()
        if has_heard or self.is_clear():
            self._heard_at = now
        elif now - self._heard_at >= _SILENCE_SECONDS:
            self._heard_at = now
            waiting = self.inbox.stats(0, 0)
            self._complaints.say(
                f"nothing was acknowledged for {_SILENCE_SECONDS:.0f} s",
                f"{waiting.in_flight} updates wait in memory and {waiting.spooled} on disk for the "
                f"topic {self.client.configuration.topic}; is it there, and its broker?",
            )

    def _renew_publisher(self) -> None:
        """After an error that the client cannot recover from: what it had is spooled or dropped."""
        if time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + _RENEW_SECONDS
        self._publisher.close()
        self._publisher = self._make_publisher()
        if self._backlog is not None:
            self._backlog.restart(self._publisher)

    def _pause(self, pause_seconds: float | None, *, is_behind: bool) -> None:
        if pause_seconds is not None:
            if pause_seconds:
                time.sleep(pause_seconds)
        elif is_behind:
            self._let_others_run()
        elif self.inbox.waiters or self.inbox.is_closed:
            self._hurry()
        elif self._quiet < _QUIET_ROUNDS:
            self.inbox.sleep(_PACE_SECONDS, lightly=False)
        elif self._handed or not self.is_clear():
            # What lies in the inbox now lies there for want of room.
            self.inbox.sleep(_SLOW_PACE_SECONDS, lightly=self.inbox.is_empty)
        else:
            self.inbox.sleep(_IDLE_SECONDS, lightly=True)

    def _let_others_run(self) -> None:
        """Go on, but for a pause now and then: calls wait as long as it takes to come to one."""
        self._full_rounds += 1
        if self._full_rounds >= _MOST_ROUNDS:
            self._full_rounds = 0
            time.sleep(_BREATH_SECONDS)

    def _hurry(self) -> None:
        """Wait for reports, no longer than needed; where there can be none, wait all the same."""
        begun = time.monotonic()
        self._publisher.poll(_HURRY_SECONDS, hurry=True)
        if time.monotonic() - begun < _HURRY_SECONDS / 4:
            time.sleep(_HURRY_SECONDS)

    def _guarded(self, work: Callable[[], object]) -> None:
        """Do ``work``; an error of ours must not end the thread that everything waits for."""
        try:
            work()
        # Also SystemExit: a log handler or a callback may raise it, and it would end the thread.
        except BaseException:
            with suppress(BaseException):
                logger.exception("sessionfold met an error of its own, and goes on")
            time.sleep(_SLOW_PACE_SECONDS)


def _flight_of(sender: Sender, session: Session, entry: Entry, size: int) -> Flight:
    _, event = decode(entry.value, key=session.key)
    return Flight(sender, session, entry.sequence, entry.calls, size, event["lost_before"])


def _still_current(flight: Flight, value: bytes) -> bytes | None:
    """Return the event without the fields that a later one has given; None when none is left."""
    session = flight.session
    if session.delivered_through < flight.sequence:
        return value
    _, event = decode(value, key=session.key)
    overtaken = [name for name, by in session.given.items() if by > flight.sequence]
    rest = {name: given for name, given in event.items() if name not in overtaken}
    if not any(rest.get(name) is not None for name in session.given):
        return None
    return encode(rest)
