"""The demo: five workers report into an embedded broker, and you watch their sessions change.

It is one command of sessionfold, written out:

    sessionfold dev --run "python examples/support.py" --run "python examples/training.py" ...
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

HERE = Path(__file__).parent
WORKERS = ("support", "training", "pipeline", "long_job", "qa")


def main() -> None:
    """Become ``sessionfold dev``, so that Ctrl+C reaches it and nothing else."""
    command = [str(Path(sys.executable).with_name("sessionfold")), "dev"]
    for worker in WORKERS:
        command += ["--run", shlex.join([sys.executable, str(HERE / f"{worker}.py")])]
    environment = {"SESSIONFOLD_EXAMPLE_PAUSE_SECONDS": "0.8", **os.environ}
    # The demo is self-contained, whatever this shell points at.
    for name in ("SESSIONFOLD_BOOTSTRAP_SERVERS", "SESSIONFOLD_STORE", "SESSIONFOLD_TOPIC"):
        environment.pop(name, None)
    os.execve(command[0], command, environment)  # noqa: S606 - a program of this project


if __name__ == "__main__":
    main()
