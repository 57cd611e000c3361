"""Who owns a spool file: the process that has locked the lock file beside it.

The lock is a POSIX record lock (on Windows a locked byte), because of what the kernel does with it:
it belongs to the process, not to the descriptor. A fork does not pass it on and cannot give it up,
and it is gone when the process is, whatever kind of end and however many children live on. Its one
trap is that a process loses it when it closes *any* descriptor of the file; so a process that holds
a claim does not open that file again, which :data:`_held` sees to.
"""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path

from . import files

_CONTENDED = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)
_held: dict[int, dict[str, object]] = {}
"""By process, since a fork copies it: the lock files that it holds or is about to."""


class Claim:
    """One held lock file."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor

    @classmethod
    def take(cls, path: Path) -> Claim | None:
        """Lock the file, which is made if it is not there; None when somebody else has it.

        Raises:
            OSError: when it cannot be opened, or nothing can be locked there.
        """
        name, claim = os.path.realpath(path), object()
        if _held_here().setdefault(name, claim) is not claim:
            return None
        descriptor = -1
        try:
            descriptor = _take(path)
        finally:
            if descriptor < 0:
                del _held_here()[name]
        return None if descriptor < 0 else cls(path, descriptor)

    def release(self, *, delete: bool) -> None:
        """Give it up; with ``delete`` the lock file goes first, so that nobody waits for it."""
        if delete and sys.platform != "win32":
            self._unlink()
        self.abandon()
        _held_here().pop(os.path.realpath(self._path), None)
        if delete and sys.platform == "win32":
            self._unlink()

    def abandon(self) -> None:
        """Close the descriptor. In a forked child the parent's lock stays what it is."""
        with suppress(OSError):
            os.close(self._descriptor)

    def _unlink(self) -> None:
        with suppress(OSError):
            self._path.unlink()


def is_held(path: Path) -> bool:
    """Say whether a process has locked the file; makes nothing, keeps others out for a moment.

    Raises:
        OSError: when it cannot be opened.
    """
    if os.path.realpath(path) in _held_here():
        return True
    try:
        descriptor = files.open_to_read(path)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor, shared=True)
    finally:
        os.close(descriptor)


def _held_here() -> dict[str, object]:
    return _held.setdefault(os.getpid(), {})


def _take(path: Path) -> int:
    """Return the descriptor of the locked file; -1 when somebody else has locked or deleted it."""
    descriptor = files.open_to_append(path, create=True)
    try:
        if _lock(descriptor) and _is_at(descriptor, path):
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return -1


def _is_at(descriptor: int, path: Path) -> bool:
    """Say whether the locked file still has its name: one that was deleted guards nothing."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.lstat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int, *, shared: bool = False) -> bool:  # noqa: ARG001
        os.lseek(descriptor, 0, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            return _is_contended(error)
        return True

else:
    import fcntl

    def _lock(descriptor: int, *, shared: bool = False) -> bool:
        try:
            fcntl.lockf(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            return _is_contended(error)
        return True


def _is_contended(error: OSError) -> bool:
    """Return False, as the lock's answer; other errors go on."""
    if error.errno in _CONTENDED:
        return False
    raise error
