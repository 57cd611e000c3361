"""Sending spool files of processes that are gone, by a process that does nothing else."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ._claims import Claim
from ._inbox import Settled
from ._journal import Journal, JournalError
from ._line import Line
from ._publisher import NotTakenError
from ._spool_directory import Destination, is_name, lock_path, unavailable

if TYPE_CHECKING:
    from ._publisher import DeliveredRecord, DeliveryError, OnDelivery, Publisher
    from ._records import Header
    from ._spool_status import SpoolFile

OWNED = "a living process owns it, and sends it itself"

_POLL_SECONDS = 0.05

OnProgress = Callable[[int, int], None]
"""Takes how many updates are delivered, and how many there are."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """A file that something was not done to, and why."""

    name: str
    reason: str
    """A clause for people. It may hold text from the file: brokers, a topic."""
    updates: int = 0
    """How many wait in it, as far as is known."""
    is_failure: bool = True
    """Whether it should have been done; False is for what is another's, or not asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """What sending has done; numbers are of updates where they do not say otherwise."""

    files: int
    """Those that are delivered as a whole, and deleted."""
    delivered: int
    refused: int
    """Those that the broker refused for good; they are lost."""
    refusal: str
    """Why it did, the last time; empty when it did not."""
    damaged_bytes: int
    """What could not be read, and was set aside beside its file."""
    left: tuple[Left, ...]

    @property
    def is_complete(self) -> bool:
        """Whether all that was to be sent is delivered."""
        return not self.refused and not any(each.is_failure for each in self.left)


class Sending:
    """Files of one destination on their way, one after the other. One thread.

    One file is open at a time, so that any number of them fits.
    """

    def __init__(
        self,
        directory: Path,
        destination: Destination,
        files: Sequence[SpoolFile],
        on_progress: OnProgress | None = None,
    ) -> None:
        self._directory = directory
        self._destination = destination
        self._waiting = list(files)
        self._on_progress = on_progress
        self._total = sum(file.calls for file in files)
        self._settled = Settled()
        self._files = self._damaged_bytes = 0
        self._refusal = self._halted = ""
        self._left: list[Left] = []

    def run(self, publisher: Publisher, timeout_seconds: float) -> None:
        """Send what can be sent, until it is done or nothing moves any more; close ``publisher``.

        Args:
            publisher: takes the events.
            timeout_seconds: for how long there may be no acknowledgement.
        """
        watched = Watched(publisher, timeout_seconds)
        try:
            while not self._halted and (file := self._next_free()) is not None:
                self._waiting.remove(file)
                self._send(file, watched)
        finally:
            watched.close()
        self._refusal = watched.refusal
        for file in self._waiting:
            behind = ", ".join(name for name in file.header.behind if self._is_there(name))
            reason = self._halted or f"it has to wait for {behind}"
            self._leave(file, reason, is_failure=bool(self._halted))

    def sent(self, others: Iterable[Left] = ()) -> Sent:
        """Return what was done so far; ``others`` are left, too."""
        delivered = self._settled.adopted_delivered
        return Sent(
            files=self._files,
            delivered=delivered,
            refused=-self._settled.adopted_waiting - delivered,
            refusal=self._refusal,
            damaged_bytes=self._damaged_bytes,
            left=tuple(sorted([*others, *self._left], key=lambda each: each.name)),
        )

    def _next_free(self) -> SpoolFile | None:
        """Return the first file that waits for no other."""
        free = (f for f in self._waiting if not any(map(self._is_there, f.header.behind)))
        return next(free, None)

    def _is_there(self, name: str) -> bool:
        return is_name(name) and os.path.lexists(self._directory / name)

    def _leave(
        self,
        file: SpoolFile,
        reason: str,
        *,
        updates: int | None = None,
        is_failure: bool = True,
    ) -> None:
        waiting = file.calls if updates is None else updates
        self._left.append(
            Left(name=file.name, reason=reason, updates=waiting, is_failure=is_failure)
        )

    def _send(self, file: SpoolFile, publisher: Watched) -> None:
        path = self._directory / file.name
        try:
            claim = Claim.take(lock_path(path))
            if claim is not None:
                try:
                    self._send_claimed(file, Journal.open(path), publisher)
                finally:
                    claim.release(delete=not self._is_there(file.name))
            elif self._is_there(file.name):
                self._leave(file, OWNED, is_failure=False)
        except (OSError, JournalError) as error:
            if self._is_there(file.name):  # else another has sent it meanwhile
                said = unavailable(path, error) if isinstance(error, OSError) else error
                self._leave(file, str(said))

    def _send_claimed(self, file: SpoolFile, journal: Journal, publisher: Watched) -> None:
        try:
            if self._is_elsewhere(journal.header):
                self._leave(file, "its name and its content say different destinations")
                return
            self._deliver(journal, publisher)
            if journal.waiting:
                self._leave(file, self._halted, updates=journal.waiting_calls)
                return
            with suppress(JournalError):
                journal.sync()  # should a power cut bring it back, its mark says that it is done
            journal.remove()
            self._files += 1
        finally:
            self._damaged_bytes += journal.damaged_bytes
            journal.close()

    def _is_elsewhere(self, header: Header) -> bool:
        named = Destination(topic=header.topic, bootstrap_servers=header.bootstrap_servers)
        return bool(header.topic) and named.name() != self._destination.name()

    def _deliver(self, journal: Journal, publisher: Watched) -> None:
        """Publish what waits and mark what is delivered, until all is or nothing moves."""
        line = Line(journal, publisher, lambda _: None, adopted=True)
        publisher.begin()
        try:
            while not line.is_empty and not self._halted:
                is_busy = line.advance(self._settled)
                publisher.poll(_POLL_SECONDS, hurry=is_busy)
                self._halted = publisher.problem()
                self._tell()
        finally:
            if not line.is_empty:
                # Whatever ended this: what is delivered is marked, and nothing more is published.
                publisher.close()
                line.fail()
                line.advance(self._settled)

    def _tell(self) -> None:
        if self._on_progress is not None:
            self._on_progress(self._settled.adopted_delivered, self._total)


class Watched:
    """A publisher that knows when it was last of use, and why it is not."""

    def __init__(self, publisher: Publisher, timeout_seconds: float) -> None:
        self.refusal = ""
        """Why an event was refused for good, the last time."""
        self._publisher = publisher
        self._timeout_seconds = timeout_seconds
        self._settled_at = 0.0
        self._trouble = ""
        self.poll = publisher.poll
        self.close = publisher.close
        self.has_failed = publisher.has_failed
        self.is_refusal = publisher.is_refusal

    def begin(self) -> None:
        """Let the time run from now on: until now there was nothing to settle."""
        self._settled_at = time.monotonic()

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Queue one event; see :class:`~._publisher.Publisher`."""

        def settled(error: DeliveryError | None, record: DeliveredRecord) -> None:
            self._note(error)
            on_delivery(error, record)

        try:
            self._publisher.publish(key, value, settled)
        except NotTakenError as error:
            if error.final:
                self.refusal = str(error)
            raise

    def problem(self) -> str:
        """Return why there is no sense in going on, as a clause; empty when there is."""
        if self.has_failed():
            return "the Kafka client has failed"
        if time.monotonic() - self._settled_at < self._timeout_seconds:
            return ""
        why = f" ({self._trouble})" if self._trouble else ""
        return f"the broker acknowledged nothing for {self._timeout_seconds:g} s{why}"

    def _note(self, error: DeliveryError | None) -> None:
        if error is not None and not self.is_refusal(error):
            self._trouble = str(error)
            return
        self._settled_at = time.monotonic()
        if error is not None:
            self.refusal = str(error)
