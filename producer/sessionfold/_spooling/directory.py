"""The directory that spool files are in: where it is, who may use it, and the names in it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_LOCK_SUFFIX = ".lock"
_OWNER_ONLY = 0o700
_NAME = re.compile(r"[0-9a-f]{16}-[^/\\]+-[0-9]+\.spool")


class SpoolUnavailableError(Exception):
    """Raised when the spool directory cannot be used; says why, and what to do, in a clause."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """Where events are to go. Files of one destination are not sent to another."""

    topic: str
    bootstrap_servers: str

    def name(self) -> str:
        """Return what the names of its files begin with; brokers count in any order."""
        servers = sorted(server.strip() for server in self.bootstrap_servers.split(","))
        described = "\n".join([self.topic, *servers])
        return hashlib.sha256(described.encode("utf-8", "replace")).hexdigest()[:16]


def default_directory(environment: Mapping[str, str]) -> Path:
    """Return where spool files are when nothing else is said: the user's folder for state."""
    if sys.platform == "win32":
        state = environment.get("LOCALAPPDATA", "")
    else:
        state = environment.get("XDG_STATE_HOME", "")
    if not Path(state).is_absolute():  # relative ones are to be ignored, says the XDG specification
        state = str(Path(environment.get("HOME") or "~", ".local", "state"))
    return Path(state, "sessionfold", "spool")


def absolute(directory: Path) -> Path:
    """Return the directory so that a change of the working directory does not move it."""
    try:
        return directory.expanduser().absolute()
    except (OSError, RuntimeError):
        return directory


def prepare(directory: Path) -> None:
    """Make the directory, and what is missing above it, for this user only.

    Raises:
        SpoolUnavailableError: when it cannot be made, or others could change what is in it.
    """
    if not directory.is_absolute():
        raise SpoolUnavailableError(
            f"there is no home directory for {directory}; name one with SESSIONFOLD_SPOOL_DIRECTORY"
        )
    try:
        for missing in reversed([directory, *directory.parents]):
            if not missing.exists():
                missing.mkdir(_OWNER_ONLY, exist_ok=True)
        check(directory)
    except OSError as error:
        raise unavailable(directory, error) from error


def check(directory: Path) -> None:
    """See that nobody else can change what is in the directory.

    Raises:
        OSError: when it cannot be looked at.
        SpoolUnavailableError: when somebody else can.
    """
    found = directory.lstat()
    if stat.S_ISLNK(found.st_mode):
        raise SpoolUnavailableError(f"{directory} is a symbolic link; name the directory itself")
    if not stat.S_ISDIR(found.st_mode):
        raise SpoolUnavailableError(f"{directory} is not a directory")
    if sys.platform == "win32":
        return
    if found.st_uid not in (os.geteuid(), 0):
        raise SpoolUnavailableError(
            f"{directory} belongs to another user (ID {found.st_uid}); name a directory of your own"
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SpoolUnavailableError(
            f"{directory} can be written by others; name a folder of your own, or let one be made"
        )


def unavailable(directory: Path, error: OSError) -> SpoolUnavailableError:
    """Return the error for a directory that the system refuses."""
    path = error.filename if isinstance(error.filename, str) else str(directory)
    return SpoolUnavailableError(f"{path}: {error.strerror or type(error).__name__}")


def is_name(name: str) -> bool:
    """Say whether a file of this name can be a spool file."""
    return _NAME.fullmatch(name) is not None


def lock_path(path: Path) -> Path:
    """Return the lock file of a spool file."""
    return path.with_name(path.name + _LOCK_SUFFIX)


def names(directory: Path) -> list[str]:
    """Return the names of the spool files in a directory that is safe, sorted.

    Raises:
        OSError: when it cannot be listed.
        SpoolUnavailableError: when others could change what is in it.
    """
    check(directory)
    return sorted(filter(is_name, os.listdir(directory)))  # noqa: PTH208 - names are wanted


def stale_locks(directory: Path, prefix: str) -> list[Path]:
    """Return the lock files beside which no spool file is, of names that begin with ``prefix``.

    Raises:
        OSError: when the directory cannot be listed.
        SpoolUnavailableError: when others could change what is in it.
    """
    check(directory)
    found = set(os.listdir(directory))  # noqa: PTH208 - names are wanted
    locks = [name for name in found if name.startswith(prefix) and name.endswith(_LOCK_SUFFIX)]
    return [directory / lock for lock in locks if lock.removesuffix(_LOCK_SUFFIX) not in found]
