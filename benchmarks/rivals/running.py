"""One run of a rival, measured, and its answer checked."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.sides import Measured, measured
from benchmarks.workload import Workload

from .answers import digest, expected_digest
from .protocol import Rival


def answered(rival: Rival, servers: str, topic: str, workload: Workload) -> tuple[Measured, bool]:
    """Run a rival over a topic that has the workload; return what it took, and if it is right.

    Raises:
        RuntimeError: when the program fails; its standard error has been passed on.
    """
    with tempfile.TemporaryDirectory(prefix="sessionfold-rival-") as folder:
        command = rival.command(servers, topic, workload.events, Path(folder))
        found = measured(command, workload.events)
        return found, digest(rival.results(Path(folder))) == expected_digest(workload)
