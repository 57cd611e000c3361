"""The spool on this host: look at it, send it, or give it up.

``sessionfold spool`` is made of these three functions; programs may call them, too. They need no
client of the SDK and make none. A file that a living process owns is only ever looked at.

The directory is the one that the SDK uses when none is named: ``SESSIONFOLD_SPOOL_DIRECTORY``, else
``sessionfold/spool`` in the user's state folder. When that does not exist, nothing is spooled; a
directory that is named has to be there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ._config import load
from ._publisher import KafkaPublisher
from ._spooling import files
from ._spooling.claims import Claim, is_held
from ._spooling.delivery import Delivery
from ._spooling.directory import (
    Destination,
    SpoolUnavailableError,
    absolute,
    check,
    default_directory,
    is_name,
    lock_path,
    unavailable,
)
from ._spooling.journal import DAMAGED_SUFFIX, Journal, JournalError, damaged_path
from ._spooling.sending import OWNED, Left, Sending, Sent
from ._spooling.status import SpoolFile, list_files, set_aside_bytes

__all__ = [
    "Dropped",
    "Left",
    "Remains",
    "Sent",
    "SpoolFile",
    "SpoolUnavailableError",
    "Status",
    "drop",
    "send",
    "status",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Remains:
    """Damaged bytes that were set aside, and the file they were in is delivered and gone."""

    name: str
    """The name that the file had."""
    damaged_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Status:
    """What lies in a spool directory, each by name."""

    directory: Path
    files: tuple[SpoolFile, ...]
    remains: tuple[Remains, ...]
    unreadable: tuple[Left, ...]
    """Files that are there and cannot be opened."""

    @property
    def names(self) -> list[str]:
        """The names of all that can be dropped."""
        found = [file.name for file in self.files] + [each.name for each in self.remains]
        return sorted([*found, *(each.name for each in self.unreadable)])

    @property
    def damaged(self) -> dict[str, int]:
        """How many damaged bytes there are, by name, where there are any."""
        beside = {file.name: file.damaged_bytes for file in self.files if file.damaged_bytes}
        return beside | {each.name: each.damaged_bytes for each in self.remains}

    def waiting_for(self, topic: str, bootstrap_servers: str) -> tuple[SpoolFile, ...]:
        """Return the files of this destination that no living process owns."""
        ours = Destination(topic=topic, bootstrap_servers=bootstrap_servers).name() + "-"
        return tuple(f for f in self.files if f.name.startswith(ours) and not f.owner_alive)


@dataclass(frozen=True, kw_only=True, slots=True)
class Dropped:
    """What :func:`drop` has done."""

    names: tuple[str, ...]
    """The files of which something was deleted."""
    updates: int
    """Those that were not delivered, and are lost now."""
    damaged_bytes: int
    left: tuple[Left, ...]


def status(directory: str | Path | None = None) -> Status:
    """Look at all spool files of a directory, of every destination. Nothing is changed or claimed.

    Raises:
        SpoolUnavailableError: when the directory cannot be listed or trusted, or is named and
            missing.
        ConfigurationError: when it is not named, and the settings in the environment cannot work.
    """
    if directory is None:
        found = absolute(load().spool_directory or default_directory(os.environ))
        if not os.path.lexists(found):
            return Status(directory=found, files=(), remains=(), unreadable=())
    else:
        found = absolute(Path(directory))
    try:
        check(found)
        listed = list_files(found)
        others = sorted(set(os.listdir(found)) - {file.name for file in listed})  # noqa: PTH208
    except OSError as error:
        raise unavailable(found, error) from error
    return Status(
        directory=found,
        files=tuple(listed),
        remains=tuple(_remains(found, others)),
        unreadable=tuple(_unreadable(found, others)),
    )


def send(
    directory: str | Path | Status | None = None,
    *,
    timeout_seconds: float = 30.0,
    on_progress: Callable[[int, int], None] | None = None,
    **settings: Any,  # noqa: ANN401 - see Configuration
) -> Sent:
    """Send what no living process owns and is for this topic on these brokers, and wait for it.

    Whatever ends it, it can be called again: a file is deleted when all of it is delivered, and
    what is sent twice is the end of a file at most.

    Args:
        directory: where the files are, or what was found there, to spare a second look.
        timeout_seconds: for how long the broker may acknowledge nothing before this gives up.
        on_progress: called often with the updates that are delivered, and how many there are.
        **settings: settings of the SDK, as for :func:`sessionfold.configure`; they win over the
            environment's.

    Raises:
        SpoolUnavailableError: as for :func:`status`.
        ConfigurationError: when a setting cannot work.
    """
    configuration = load(os.environ, **settings)
    found = directory if isinstance(directory, Status) else status(directory)
    topic, servers = configuration.topic, configuration.bootstrap_servers
    destination = Destination(topic=topic, bootstrap_servers=servers)
    waiting = found.waiting_for(topic, servers)
    total = sum(file.calls for file in waiting)

    def tell(delivered: int) -> None:
        if on_progress is not None:
            on_progress(delivered, total)

    delivery = Delivery(partial(KafkaPublisher, configuration), timeout_seconds, tell)
    sending = Sending(found.directory, destination, waiting, delivery)
    sending.run()
    return sending.sent(_not_to_be_sent(found, destination.name() + "-"))


def drop(
    directory: str | Path | None = None,
    *,
    names: Collection[str] | None = None,
    damaged_only: bool = False,
) -> Dropped:
    """Delete what no living process owns, the damaged bytes beside it included; it is lost.

    Args:
        directory: where the files are.
        names: those to delete; None is all.
        damaged_only: delete the damaged bytes only, which nothing can send.

    Raises:
        SpoolUnavailableError, ConfigurationError: as for :func:`status`.
    """
    found = status(directory)
    dropping = _Dropping(found.directory, damaged_only=damaged_only)
    for name in found.names if names is None else names:
        dropping.drop(name)
    return dropping.dropped()


class _Dropping:
    """Deletes files, and counts what goes with them."""

    def __init__(self, directory: Path, *, damaged_only: bool) -> None:
        self._directory = directory
        self._damaged_only = damaged_only
        self._names: list[str] = []
        self._updates = self._damaged_bytes = 0
        self._left: list[Left] = []

    def drop(self, name: str) -> None:
        """Delete one file, unless a living process owns it."""
        path = self._directory / name
        if not is_name(name) or not any(map(os.path.lexists, (path, damaged_path(path)))):
            self._left.append(Left(name=name, reason="there is none of this name"))
            return
        try:
            claim = Claim.take(lock_path(path))
            if claim is None:
                self._left.append(Left(name=name, reason=OWNED, is_failure=False))
                return
            try:
                self._drop_claimed(path)
            finally:
                claim.release(delete=not os.path.lexists(path))
        except OSError as error:
            self._left.append(Left(name=name, reason=str(unavailable(path, error))))
        except JournalError as error:
            self._left.append(Left(name=name, reason=str(error)))

    def dropped(self) -> Dropped:
        """Return what was done so far."""
        return Dropped(
            names=tuple(self._names),
            updates=self._updates,
            damaged_bytes=self._damaged_bytes,
            left=tuple(self._left),
        )

    def _drop_claimed(self, path: Path) -> None:
        updates = 0
        if os.path.lexists(path):
            with closing(Journal.open(path)) as journal:  # which sets aside what is damaged
                updates = journal.waiting_calls
        damaged_bytes = set_aside_bytes(path)
        if not self._damaged_only:
            path.unlink(missing_ok=True)
            self._updates += updates
        damaged_path(path).unlink(missing_ok=True)
        self._damaged_bytes += damaged_bytes
        if damaged_bytes or not self._damaged_only:
            self._names.append(path.name)


def _remains(directory: Path, names: list[str]) -> Iterator[Remains]:
    """Yield the damaged bytes beside which no spool file is."""
    for name in names:
        whole = name.removesuffix(DAMAGED_SUFFIX)
        if whole != name and is_name(whole) and not os.path.lexists(directory / whole):
            yield Remains(name=whole, damaged_bytes=set_aside_bytes(directory / whole))


def _unreadable(directory: Path, names: list[str]) -> Iterator[Left]:
    """Yield which of the spool files cannot be looked into."""
    for name in filter(is_name, names):
        try:
            is_held(lock_path(directory / name))
            os.close(files.open_to_read(directory / name))
        except FileNotFoundError:
            continue
        except OSError as error:
            yield Left(name=name, reason=str(unavailable(directory / name, error)))


def _not_to_be_sent(found: Status, prefix: str) -> Iterator[Left]:
    """Yield what is another's, and what cannot be read of what is for this destination."""
    for file in found.files:
        is_ours = file.name.startswith(prefix)
        if file.owner_alive or not is_ours:
            reason = OWNED if is_ours else _elsewhere(file)
            yield Left(name=file.name, reason=reason, updates=file.calls, is_failure=False)
    yield from (each for each in found.unreadable if each.name.startswith(prefix))


def _elsewhere(file: SpoolFile) -> str:
    if not file.header.topic:
        return "it is for another destination"
    return f"it is for {file.header.topic} at {file.header.bootstrap_servers}"
