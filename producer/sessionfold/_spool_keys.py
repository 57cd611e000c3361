"""Which sessions have events in the spool files of others, files that may be growing meanwhile."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

from . import _files, _records
from ._records import Damage


class SpoolKeys:
    """The keys in one file, as far as it has been read: once, and then only what is new.

    Keys are kept as hashes. Two that share one would make a session wait for a file that has
    nothing of it: it costs time, not order.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._marker = _records.marker(path.name)
        self._hashes: set[int] = set()
        self._inode = 0
        self._through = 0

    def __contains__(self, key: bytes) -> bool:
        return hash(key) in self._hashes

    def update(self) -> None:
        """Read what was appended since the last time.

        Raises:
            OSError: when the file cannot be read; it may be gone.
        """
        found = self._path.stat()
        if found.st_ino != self._inode or found.st_size < self._through:
            self._inode, self._through = found.st_ino, 0
        if found.st_size == self._through:
            return
        descriptor = _files.open_to_read(self._path)
        try:
            self._scan(descriptor, os.fstat(descriptor).st_size)
        finally:
            os.close(descriptor)

    def _scan(self, descriptor: int, end: int) -> None:
        start = self._through
        for found in _records.scan(partial(_files.read_at, descriptor), self._marker, start, end):
            if not isinstance(found, Damage):
                if found.kind == _records.EVENT:
                    self._hashes.add(hash(_records.entry(found.body).key))
                self._through = found.offset + found.size
            elif found.offset == start > 0 and found.offset + found.size < end:
                # The writer cut off what it could not finish, and has written something else there.
                self._through = 0
                self._scan(descriptor, end)
                return
