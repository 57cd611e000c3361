"""``make bench``: every figure of the documents, each beside its yardstick of the same run."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

PROGRAMS = {
    "fold": "the fold, beside a bare consume() loop",
    "against": "the fold, beside what others fold with",
    "growth": "the fold, of larger and larger topics",
    "garbage": "the fold, with records that are no valid events",
    "rebuild": "a rebuild beside the live state, compared and switched",
    "latency": "from update_session to the row",
    "fleet": "the fold, by one process and by two",
    "sdk_calls": "update_session, beside a bare produce()",
}
"""Modules of this package, in their order; each can be run by itself and has a --help."""

_ROOT = Path(__file__).parents[1]


def main() -> int:
    """Run the benchmarks one after the other; return the first exit code that is not 0."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *PROGRAMS], help="by default all")
    parser.add_argument("--json", type=Path, metavar="FOLDER", help="also write NAME.json here")
    given = parser.parse_args()
    codes = [_run(name, given.json) for name in given.names or PROGRAMS]
    return next(filter(None, codes), 0)


def _run(name: str, folder: Path | None) -> int:
    print(f"== {PROGRAMS[name]}", flush=True)
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        command += ["--json", str(folder.absolute() / f"{name}.json")]
    code = subprocess.run(command, cwd=_ROOT, check=False).returncode
    print(f"(python -m benchmarks.{name}: exit code {code})\n", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
