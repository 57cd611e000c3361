"""Worker processes that keep events in a spool, because no broker is where they look for one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WORKER = """
import os, signal, sys, time
import sessionfold as lai

name, updates, ending = sys.argv[1], int(sys.argv[2]), sys.argv[3]
for step in range(updates):
    lai.update_session(session_eval=step, task=f"step {step}", session_id=f"{name}-{step % 3}")
    while lai.stats().in_flight > 12:
        time.sleep(0.001)
print(lai.stats().spooled, flush=True)
if ending == "lives":
    sys.stdin.read()
if ending == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""An update waits until the one before is on disk; all but the first twelve are, in this order."""

_NOWHERE = "127.0.0.1:1"


def end_with_spool(
    where: Path, bootstrap_servers: str, topic: str, updates: int, *, name: str = "s"
) -> None:
    """Run a worker that ends normally, with all of its updates in the spool."""
    _run(where, bootstrap_servers, topic, [name, str(updates), "ends"]).communicate()


def kill_with_spool(
    where: Path, bootstrap_servers: str, topic: str, updates: int, *, name: str = "s"
) -> int:
    """Run a worker that is killed; return how many of its updates were in the spool by then."""
    worker = _run(where, bootstrap_servers, topic, [name, str(updates), "killed"])
    said, _ = worker.communicate()
    return int(said)


@contextmanager
def living_worker(
    where: Path, bootstrap_servers: str, topic: str, updates: int, *, name: str = "s"
) -> Iterator[int]:
    """Let a worker live for the block; yield how many of its updates are in the spool."""
    worker = _run(where, bootstrap_servers, topic, [name, str(updates), "lives"])
    try:
        assert worker.stdout is not None
        yield int(worker.stdout.readline())
    finally:
        worker.kill()
        worker.communicate()


def _run(
    where: Path, bootstrap_servers: str, topic: str, arguments: list[str]
) -> subprocess.Popen[str]:
    settings = {
        "bootstrap_servers": bootstrap_servers,
        "topic": topic,
        "spool_directory": str(where),
        "queue_events": "16",  # three quarters of it are handed to the client, the rest is spooled
        "exit_timeout_seconds": "0",
        "kafka_bootstrap_servers": _NOWHERE,  # wins, and is no part of what the spool is for
    }
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _WORKER, *arguments],
        env={**os.environ, **{f"SESSIONFOLD_{k.upper()}": v for k, v in settings.items()}},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
