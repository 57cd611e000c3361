"""Files as the spool needs them: the one place that knows how platforms differ.

All functions raise ``OSError``; it is turned into an error of ours where it is known what the file
is for.
"""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

_EVERYWHERE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
# Somebody's FIFO in a file's place must not make the open wait.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0)
_OWNER_ONLY = 0o600


def create(path: Path) -> int:
    """Make a file that nobody else can read and that was not there; return its descriptor."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL
    return os.open(path, flags | _EVERYWHERE, _OWNER_ONLY)


def open_to_append(path: Path, *, create: bool = False) -> int:
    """Open a regular file for reading and appending; return its descriptor."""
    flags = os.O_RDWR | os.O_APPEND | _AT_ONCE | (os.O_CREAT if create else 0)
    return _regular(os.open(path, flags | _EVERYWHERE, _OWNER_ONLY))


def open_to_read(path: Path) -> int:
    """Open a regular file for reading only; return its descriptor."""
    return _regular(os.open(path, os.O_RDONLY | _AT_ONCE | _EVERYWHERE))


def write(descriptor: int, data: bytes) -> None:
    """Append all of ``data``; after an error any part of it may have been written."""
    written = os.write(descriptor, data)
    while written < len(data):
        data = data[written:]
        written = os.write(descriptor, data)


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Return ``size`` bytes from ``offset`` on; fewer at the end of the file only."""
    data = _pread(descriptor, size, offset)
    while len(data) < size:
        more = _pread(descriptor, size - len(data), offset + len(data))
        if not more:
            break
        data += more
    return data


def sync(descriptor: int) -> None:
    """Return when what was written would survive a power cut."""
    os.fstat(descriptor)  # says of a closed one what the next line would not: that it is closed
    getattr(os, "fdatasync", os.fsync)(descriptor)


def sync_directory(path: Path) -> None:
    """Return when the names in a directory would survive a power cut, where that can be asked."""
    if sys.platform == "win32":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _regular(descriptor: int) -> int:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(0, "not a regular file")


if sys.platform == "win32":

    def _pread(descriptor: int, size: int, offset: int) -> bytes:
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.read(descriptor, size)

else:
    _pread = os.pread
