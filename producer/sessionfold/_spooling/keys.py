"""Which sessions have events in the spool files of others, files that may be growing meanwhile."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from . import files, records
from .records import Damage, ReadAt


class SpoolKeys:
    """The keys in one file, as far as it has been read: once, and then only what is new.

    Keys are kept as hashes. Two that share one would make a session wait for a file that has
    nothing of it: it costs time, not order.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._marker = records.marker(path.name)
        self._hashes: set[int] = set()
        self._seen = (0, 0, 0)
        self._through = 0

    def __contains__(self, key: bytes) -> bool:
        return hash(key) in self._hashes

    def update(self) -> None:
        """Read what was appended since the last time.

        Raises:
            OSError: when the file cannot be read; it may be gone.
        """
        found = self._path.stat()
        seen = found.st_ino, found.st_size, found.st_mtime_ns
        if seen == self._seen:
            return
        descriptor = files.open_to_read(self._path)
        try:
            self._scan(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)
        self._seen = seen

    def _scan(self, descriptor: int, end: int) -> None:
        read_at = partial(files.read_at, descriptor)
        if not self._goes_on(read_at, end):
            self._through = 0
        for found in records.scan(read_at, self._marker, self._through, end):
            if isinstance(found, Damage):
                continue
            if found.kind == records.EVENT:
                self._hashes.add(hash(records.entry(found.body).key))
            self._through = found.offset + found.size

    def _goes_on(self, read_at: ReadAt, end: int) -> bool:
        """Say whether a record may begin where the last one ended.

        None does when the writer has cut off what it could not finish, and has gone on from there.
        """
        if end < self._through:
            return False
        there = read_at(min(len(self._marker), end - self._through), self._through)
        return self._marker.startswith(there)
