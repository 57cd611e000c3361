"""Quix Streams, in an environment of its own: it needs another release of the Kafka client."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .answers import sqlite_states

_HERE = Path(__file__).parent
_REQUIREMENTS = _HERE / "quix-requirements.txt"
_CACHE = Path(os.environ.get("SESSIONFOLD_TEST_CACHE") or _HERE.parents[1] / ".cache").resolve()


class QuixRival:
    """A ``StreamingDataFrame`` with state, and a batching sink that writes SQLite."""

    name = "quix"

    def missing(self) -> str | None:
        """Say whether an environment is there or can be made."""
        if _python().exists() or importlib.util.find_spec("ensurepip"):
            return None
        return "Python cannot make environments; on Debian: apt-get install python3-venv"

    def prepare(self) -> None:
        """Make the environment, unless it is there; interrupted, it leaves no half one."""
        environment = _environment()
        if environment.is_dir():
            return
        _CACHE.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{environment.name}.partial-", dir=_CACHE))
        try:
            _install(partial)
            partial.rename(environment)
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    def command(self, servers: str, topic: str, count: int, folder: Path) -> list[str]:
        """Return the program; it keeps ``sessions.db`` and its state in the folder."""
        program = _HERE / "quix_fold.py"
        return [str(_python()), str(program), servers, topic, str(count), str(folder)]

    def results(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Yield what the file has."""
        return sqlite_states(folder / "sessions.db")


def _environment() -> Path:
    """Return where the environment is: one for each version of its requirements and of Python."""
    wanted = _REQUIREMENTS.read_bytes() + sys.version.encode()
    return _CACHE / f"quix-{hashlib.sha256(wanted).hexdigest()[:12]}"


def _python() -> Path:
    return _environment() / "bin" / "python"


def _install(folder: Path) -> None:
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    _run([sys.executable, "-m", "venv", str(folder)])
    _run([*pip, "install", "-q", "--require-hashes", "-r", str(_REQUIREMENTS)])


def _run(command: list[str]) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{ended.stdout}{ended.stderr}")
