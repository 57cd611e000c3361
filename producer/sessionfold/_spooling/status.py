"""What lies in a spool directory, for people: read only, of every destination."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from sessionfold_schemas import InvalidRecordError, decode

from . import files, records
from .claims import is_held
from .directory import lock_path, names, unavailable
from .index import Index
from .journal import damaged_path, header_of_name
from .records import Damage, Header


@dataclass(frozen=True, kw_only=True, slots=True)
class SpoolFile:
    """One file and what waits in it."""

    name: str
    path: Path
    header: Header
    size_bytes: int
    events: int
    """Those that are not known to be delivered."""
    calls: int
    """The updates that these carry."""
    oldest: datetime | None
    """When the first of these happened, by the worker's clock; None when there is none."""
    owner_alive: bool
    """Whether a process has it open, which sends it itself."""
    damaged_bytes: int
    """What could not be read, in the file or set aside beside it."""


def list_files(directory: Path) -> list[SpoolFile]:
    """Return the spool files in a directory, sorted by name; none when there is no directory.

    Nothing is changed or claimed. A file that goes meanwhile, or cannot be opened, is left out.

    Raises:
        SpoolUnavailableError: when the directory cannot be listed or trusted.
    """
    listed: list[SpoolFile] = []
    try:
        found = names(directory)
    except FileNotFoundError:
        return listed
    except OSError as error:
        raise unavailable(directory, error) from error
    for name in found:
        with suppress(OSError):
            listed.append(_look_into(directory / name))
    return listed


def _look_into(path: Path) -> SpoolFile:
    owner_alive = is_held(lock_path(path))
    descriptor = files.open_to_read(path)
    try:
        size = os.fstat(descriptor).st_size
        contents = _Contents(descriptor, path, size)
        return SpoolFile(
            name=path.name,
            path=path,
            header=contents.header,
            size_bytes=size,
            events=contents.index.waiting,
            calls=contents.index.waiting_calls,
            oldest=contents.oldest(),
            owner_alive=owner_alive,
            damaged_bytes=contents.damaged_bytes(torn_is_damage=not owner_alive)
            + set_aside_bytes(path),
        )
    finally:
        os.close(descriptor)


class _Contents:
    """What a scan of one open file finds."""

    def __init__(self, descriptor: int, path: Path, size: int) -> None:
        self.header = header_of_name(path.name)
        self.index = Index()
        self._marker = records.marker(path.name)
        self._read_at = partial(files.read_at, descriptor)
        self._size = size
        self._damages: list[Damage] = []
        self._asides: set[Damage] = set()
        self._scan()

    def oldest(self) -> datetime | None:
        """Return when the first waiting event happened, when that can be told."""
        first = self.index.take(1, 0)
        for span in self.index.spans(first):
            record = self._read_at(span.end - span.start, span.start)
            entry = records.read_event(self._marker, record)
            if entry is not None:
                with suppress(InvalidRecordError):
                    _, event = decode(entry.value, key=entry.key)
                    return datetime.fromtimestamp(event["occurred_at"] / 1e6, UTC)
        return None

    def damaged_bytes(self, *, torn_is_damage: bool) -> int:
        """Return how much is damaged and not set aside yet."""
        noted = records.joined(self._asides)
        return sum(
            damage.size
            for damage in self._damages
            if damage not in noted and (torn_is_damage or damage.offset + damage.size < self._size)
        )

    def _scan(self) -> None:
        mark = -1
        for found in records.scan(self._read_at, self._marker, 0, self._size):
            if isinstance(found, Damage):
                self._damages.append(found)
            elif found.kind == records.EVENT:
                sequence, calls, _ = records.entry_head(found.body)
                self.index.extend([sequence], [calls], found.offset, [found.size])
            elif found.kind == records.MARK:
                mark = max(mark, records.sequence_of_mark(found.body))
            elif found.kind == records.ASIDE:
                self._asides.add(records.span_of_aside(found.body))
            else:
                self.header = records.header(found.body) or self.header
        self.index.mark(mark)


def set_aside_bytes(path: Path) -> int:
    """Return how many damaged bytes of a spool file were set aside beside it."""
    try:
        return damaged_path(path).lstat().st_size
    except FileNotFoundError:
        return 0
