"""What the cells left on disk, and how it is sent when they are gone."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sessionfold._spooling.journal import Journal
from sessionfold_schemas import decode
from tests.e2e.ends.counts import number_of

ROOT = Path(__file__).parents[3]
SEND_TIMEOUT_SECONDS = 90.0

_AT_ONCE = 3
_NEXT_PROCESS = [sys.executable, "-m", "tests.e2e.ends.worker", "next_process"]
_BY_HAND = [str(Path(sys.executable).with_name("sessionfold")), "spool", "send"]


def files(directory: Path) -> list[Path]:
    """Return the files of a spool that hold events, or what is left of such; locks hold none."""
    return [each for each in directory.glob("*") if each.suffix != ".lock"]


def calls(directory: Path) -> set[int]:
    """Return the calls that a spool holds; read from a copy, so that nothing changes."""
    numbers: set[int] = set()
    with tempfile.TemporaryDirectory() as other:
        for file in directory.glob("*.spool"):
            journal = Journal.open(Path(shutil.copy(file, other)))
            while entries := journal.read(10_000, 1 << 24):
                numbers |= {number_of(decode(each.value, key=each.key)[1]) for each in entries}
            journal.close()
    return numbers - {-1}


def send(cells: Sequence[tuple[Path, Mapping[str, str]]]) -> None:
    """Send what is in the cells' spools: by the next process, and every second one by hand.

    Args:
        cells: the spool directory and the environment of each.
    """
    left = [environment for spool, environment in cells if any(spool.glob("*.spool"))]
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        sent = [
            executor.submit(_run, _BY_HAND if place % 2 else _NEXT_PROCESS, environment)
            for place, environment in enumerate(left)
        ]
        for each in sent:
            each.result()


def _run(command: Sequence[str], environment: Mapping[str, str]) -> None:
    ended = subprocess.run(
        command,
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=SEND_TIMEOUT_SECONDS,
        check=False,
    )
    if ended.returncode != 0:
        cell = environment["ENDS_CELL"]
        raise AssertionError(f"{cell}: the spool was not sent: {ended.stdout}{ended.stderr}")
