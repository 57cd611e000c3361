"""Runs a program and says what it used: ``python -m benchmarks.books COMMAND ...``.

A launcher of its own, since on Linux a child's greatest memory is never reported as less than
that of the process that started it; this one is small. Prints one JSON object behind what the
program prints.

Where a program starts others (Linux), its memory is that of all of them together: their
proportional set sizes (PSS in proc(5)), which count what several share once, looked at many times a
second.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LOOK_SECONDS = 0.05
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
    """The greatest resident memory, of all its processes together."""


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
    program = subprocess.Popen(sys.argv[1:])
    most = 0
    while program.poll() is None:
        most = max(most, _together_bytes(program.pid))
        with suppress(subprocess.TimeoutExpired):
            program.wait(_LOOK_SECONDS)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = usage.ru_utime + usage.ru_stime
    peak = max(most, usage.ru_maxrss * _UNIT)
    print(json.dumps({"cpu_seconds": seconds, "peak_bytes": peak}))
    return program.returncode


def _together_bytes(pid: int) -> int:
    """Return the memory of a process and of all that it has started; 0 when it has started none."""
    started = _started(pid)
    return sum(map(_proportional_bytes, [pid, *started])) if started else 0


def _started(pid: int) -> list[int]:
    found: list[int] = []
    for listed in Path("/proc", str(pid), "task").glob("*/children"):
        for child in map(int, _text(listed).split()):
            found += [child, *_started(child)]
    return found


def _proportional_bytes(pid: int) -> int:
    lines = _text(Path("/proc", str(pid), "smaps_rollup")).splitlines()
    return sum(int(each.split()[1]) * 1024 for each in lines if each.startswith("Pss:"))


def _text(path: Path) -> str:
    """Return what a file says; nothing when its process is gone."""
    try:
        return path.read_text("ascii")
    except OSError:
        return ""


if __name__ == "__main__":
    sys.exit(main())
