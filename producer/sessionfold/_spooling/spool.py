"""The spool of one process: the journal files it has made and those it has taken over.

A file is ``<destination>-<producer>-<number>.spool``; beside it lie ``.lock`` (held while a process
owns it) and, when something in it could not be read, ``.damaged``. All files of a destination that
nobody owns are free for any process of this user and host with the same destination.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from .claims import Claim
from .directory import (
    Destination,
    SpoolUnavailableError,
    absolute,
    default_directory,
    is_name,
    lock_path,
    names,
    prepare,
    stale_locks,
    unavailable,
)
from .journal import Header, Journal, JournalError
from .keys import SpoolKeys
from .status import SpoolFile, list_files

__all__ = [
    "Destination",
    "Spool",
    "SpoolFile",
    "SpoolUnavailableError",
    "default_directory",
    "list_files",
]

logger = logging.getLogger("sessionfold")

_MOST_ATTEMPTS = 10


class Spool:
    """Makes, claims and releases journal files. Belongs to one thread; :meth:`close` it."""

    def __init__(self, directory: Path, destination: Destination, producer_id: str) -> None:
        self._directory = absolute(directory)
        self._destination = destination
        self._prefix = destination.name() + "-"
        self._producer_id = producer_id
        self._made = 0
        self._created: set[str] = set()
        self._open: dict[str, tuple[Journal, Claim]] = {}
        self._keys: dict[str, SpoolKeys] = {}
        self._said: set[str] = set()

    def create(self, behind: Sequence[str] = ()) -> Journal:
        """Make a new file that this process owns, and the directory if needed.

        Args:
            behind: names of spool files that must be gone before this one may be sent.

        Raises:
            SpoolUnavailableError: when the directory cannot be used.
            JournalError: when the file cannot be written.
        """
        prepare(self._directory)
        header = Header(
            topic=self._destination.topic,
            bootstrap_servers=self._destination.bootstrap_servers,
            producer_id=self._producer_id,
            behind=tuple(behind),
        )
        path, claim = self._claim_new()
        try:
            journal = Journal.create(path, header)
        except JournalError:
            claim.release(delete=True)
            raise
        self._created.add(path.name)
        self._open[path.name] = journal, claim
        return journal

    def claim_orphans(self, most: int = sys.maxsize) -> list[Journal]:
        """Take over at most ``most`` files of this destination that no process owns, and open them.

        What cannot be opened is said in the log, once, and stays for another time.
        """
        journals: list[Journal] = []
        for name in self._names():
            journal = self._adopt(name) if len(journals) < most else None
            if journal is not None:
                journals.append(journal)
        self._tidy()
        return journals

    def others_with(self, key: bytes) -> tuple[str, ...]:
        """Return the names of the files not made here that hold an entry with this key."""
        others = [name for name in self._names() if name not in self._created]
        self._keys = {name: self._keys.get(name) or self._new_keys(name) for name in others}
        return tuple(name for name in others if self._holds(name, key))

    def exists(self, name: str) -> bool:
        """Say whether there still is a spool file of this name, as far as can be told."""
        if not is_name(name):
            return False
        try:
            (self._directory / name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return False
        except OSError:
            return True
        return True

    def release(self, journal: Journal) -> None:
        """Close a file and leave it to others; if it was deleted, tidy up behind it."""
        journal.close()
        _, claim = self._open.pop(journal.path.name, (None, None))
        is_there = self.exists(journal.path.name)
        if claim is not None:
            claim.release(delete=not is_there)
        if not is_there:
            self._created.discard(journal.path.name)

    def close(self) -> None:
        """Release all files."""
        for journal, _ in list(self._open.values()):
            self.release(journal)

    def abandon(self) -> None:
        """In a forked child: let go of the descriptors; the files stay the parent's."""
        for journal, claim in self._open.values():
            journal.close()
            claim.abandon()
        self._open.clear()

    def _claim_new(self) -> tuple[Path, Claim]:
        """Claim a name that no file has."""
        try:
            for _ in range(_MOST_ATTEMPTS):
                path = self._directory / f"{self._prefix}{self._producer_id}-{self._made}.spool"
                self._made += 1
                claim = Claim.take(lock_path(path))
                if claim is not None and not self.exists(path.name):
                    return path, claim
                if claim is not None:
                    claim.release(delete=False)
        except OSError as error:
            raise unavailable(self._directory, error) from error
        raise SpoolUnavailableError(f"{self._directory}: files cannot be locked there")

    def _adopt(self, name: str) -> Journal | None:
        path = self._directory / name
        try:
            claim = Claim.take(lock_path(path))
        except OSError as error:
            self._say(f"a spool file cannot be claimed: {unavailable(path, error)}")
            return None
        if claim is None:
            return None
        try:
            journal = Journal.open(path)
        except JournalError as error:
            claim.release(delete=not self.exists(name))
            if self.exists(name):
                self._say(f"a spool file cannot be read, and is left alone: {error}")
            return None
        return self._adopted(journal, claim)

    def _adopted(self, journal: Journal, claim: Claim) -> Journal | None:
        header = journal.header
        if not header.topic:  # its header is damaged; its name says as much as is needed
            header = replace(
                header,
                topic=self._destination.topic,
                bootstrap_servers=self._destination.bootstrap_servers,
            )
        journal.header = header
        self._open[journal.path.name] = journal, claim
        named = Destination(topic=header.topic, bootstrap_servers=header.bootstrap_servers)
        if named.name() + "-" != self._prefix:
            self._say(f"a spool file is left alone, it says it is for elsewhere: {journal.path}")
            self.release(journal)
            return None
        if journal.damaged_spans:
            self._say(
                f"{journal.damaged_bytes} damaged bytes of a spool file were set aside "
                f"beside it: {journal.path}"
            )
        return journal

    def _names(self) -> list[str]:
        """Return the files of this destination; none when the directory cannot be used."""
        try:
            return [name for name in names(self._directory) if name.startswith(self._prefix)]
        except FileNotFoundError:
            return []
        except OSError as error:
            self._say(f"spool files are not looked for: {unavailable(self._directory, error)}")
        except SpoolUnavailableError as error:
            self._say(f"spool files are not looked for: {error}")
        return []

    def _tidy(self) -> None:
        """Delete lock files that a process left behind when it ended just after its last event."""
        with suppress(OSError, SpoolUnavailableError):
            for lock in stale_locks(self._directory, self._prefix):
                claim = Claim.take(lock)
                if claim is not None:
                    claim.release(delete=not self.exists(lock.stem))

    def _new_keys(self, name: str) -> SpoolKeys:
        return SpoolKeys(self._directory / name)

    def _holds(self, name: str, key: bytes) -> bool:
        keys = self._keys[name]
        try:
            keys.update()
        except FileNotFoundError:
            return False
        except OSError as error:
            self._say(f"a spool file cannot be read: {unavailable(self._directory / name, error)}")
        return key in keys

    def _say(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            logger.warning("%s", sentence)
