"""Sending spool files of processes that are gone, by a process that does nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .claims import Claim
from .directory import Destination, is_name, lock_path, unavailable
from .journal import Journal, JournalError

if TYPE_CHECKING:
    from .delivery import Delivery
    from .records import Header
    from .status import SpoolFile

OWNED = "a living process owns it, and sends it itself"


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
        delivery: Delivery,
    ) -> None:
        self._directory = directory
        self._destination = destination
        self._waiting = list(files)
        self._delivery = delivery
        self._files = self._damaged_bytes = 0
        self._left: list[Left] = []

    def run(self) -> None:
        """Send what can be sent, until it is done or nothing moves any more."""
        try:
            while not self._delivery.problem and (file := self._next_free()) is not None:
                self._waiting.remove(file)
                self._send(file)
        finally:
            self._delivery.close()
        problem = self._delivery.problem
        for file in self._waiting:
            behind = ", ".join(name for name in file.header.behind if self._is_there(name))
            reason = problem or f"it has to wait for {behind}"
            self._leave(file, reason, is_failure=bool(problem))

    def sent(self, others: Iterable[Left] = ()) -> Sent:
        """Return what was done so far; ``others`` are left, too."""
        delivery = self._delivery
        return Sent(
            files=self._files,
            delivered=delivery.delivered,
            refused=delivery.refused,
            refusal=delivery.refusal if delivery.refused else "",
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
        left = Left(name=file.name, reason=reason, updates=waiting, is_failure=is_failure)
        self._left.append(left)

    def _send(self, file: SpoolFile) -> None:
        path = self._directory / file.name
        try:
            claim = Claim.take(lock_path(path))
            if claim is not None:
                try:
                    self._send_claimed(file, Journal.open(path))
                finally:
                    claim.release(delete=not self._is_there(file.name))
            elif self._is_there(file.name):
                self._leave(file, OWNED, is_failure=False)
        except (OSError, JournalError) as error:
            if self._is_there(file.name):  # else another has sent it meanwhile
                said = unavailable(path, error) if isinstance(error, OSError) else error
                self._leave(file, str(said))

    def _send_claimed(self, file: SpoolFile, journal: Journal) -> None:
        try:
            if self._is_elsewhere(journal.header):
                self._leave(file, "its name and its content say different destinations")
                return
            self._delivery.deliver(journal)
            if journal.waiting:
                self._leave(file, self._delivery.problem, updates=journal.waiting_calls)
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
