"""Runs a program and says what it used: ``python -m benchmarks.books COMMAND ...``.

A launcher of its own, since on Linux a child's greatest memory is never reported as less than
that of the process that started it; this one is small. Prints one JSON object behind what the
program prints.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_UNIT = 1 if sys.platform == "darwin" else 1024
"""Bytes in the unit of ``ru_maxrss``: kibibytes on Linux, bytes on macOS."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Books:
    """What a program printed and used."""

    output: str
    cpu_seconds: float
    """Processor time, user and system."""
    peak_bytes: int
    """The greatest resident memory."""


def run(command: Sequence[str]) -> Books:
    """Run a program to its end and return its books.

    Raises:
        RuntimeError: when it fails; its standard error has been passed on.
    """
    launcher = [sys.executable, "-m", "benchmarks.books", *command]
    ended = subprocess.run(launcher, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with exit code {ended.returncode}")
    *output, books = ended.stdout.splitlines()
    return Books(output="\n".join(output), **json.loads(books))


def main() -> int:
    """Run the program that the arguments name; return its exit code."""
    ended = subprocess.run(sys.argv[1:], check=False)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = usage.ru_utime + usage.ru_stime
    print(json.dumps({"cpu_seconds": seconds, "peak_bytes": usage.ru_maxrss * _UNIT}))
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
