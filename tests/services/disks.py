"""Small disks, for tests of full ones."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class MountError(Exception):
    """Raised when no file system can be mounted here, as for anyone but root."""


class SmallDisk:
    """A file system of its own, in memory; made by :func:`small_disk`.

    Attributes:
        folder: where it is mounted.
    """

    def __init__(self, folder: Path, options: str) -> None:
        self.folder = folder
        _run("mount", "-t", "tmpfs", "-o", options, "sessionfold-test", str(folder))

    def leave_room(self, kilobytes: int) -> None:
        """Change its size, so that there is so much room."""
        used = shutil.disk_usage(self.folder).used // 1024
        _run("mount", "-o", f"remount,size={used + kilobytes}k", str(self.folder))


@contextmanager
def small_disk(folder: Path, size: str, *, user: str) -> Iterator[SmallDisk]:
    """Mount a disk of a size, such as ``4m``, in a new folder that belongs to a user.

    Raises:
        MountError: when that is not possible.
    """
    folder.mkdir()
    disk = SmallDisk(folder, f"size={size},uid={user},mode=700")
    try:
        yield disk
    finally:
        _run("umount", "--lazy", str(folder))


def _run(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise MountError(ended.stderr.strip() or f"{command[0]} failed")
