"""The processes of a PostgreSQL server: how they end, also when who started them is gone."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

STOP_TIMEOUT_SECONDS = 15.0


def watch(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """Start a shell that ends the server and removes its data when this process is gone.

    SIGQUIT lets the first process end the others; after a SIGKILL busy ones would go on.
    """
    script = (
        'read -r _; kill -QUIT "$0"; n=0;'
        'while kill -0 "$0" && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done;'
        'kill -9 "$0"; rm -rf "$1"'
    )
    return subprocess.Popen(
        ["/bin/sh", "-c", script, str(pid), str(folder)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def children(pid: int) -> list[int]:
    """Return the processes that a process has started and that still run."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def end_process(process: subprocess.Popen[bytes], by: signal.Signals) -> None:
    """Send a signal and wait for the end; after ``STOP_TIMEOUT_SECONDS`` it is SIGKILL."""
    process.send_signal(by)
    try:
        process.wait(STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
