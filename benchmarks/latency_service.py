"""``sessionfold run`` as a process of its own, for as long as something is measured beside it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from sessionfold_consumer.store import migrate_store, open_store
from tests.services.kafka import Broker
from tests.services.topics import end_offsets

ROOT = Path(__file__).parents[1]

_PATIENCE_SECONDS = 60.0
_STOP_SECONDS = 15.0
_PAUSE_SECONDS = 0.05


def environment(broker: Broker, topic: str, spool: Path) -> dict[str, str]:
    """Return what points a service, and workers, to broker and topic; all else by default."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("SESSIONFOLD_")}
    return clean | {
        "SESSIONFOLD_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "SESSIONFOLD_TOPIC": topic,
        "SESSIONFOLD_SPOOL_DIRECTORY": str(spool),
    }


@contextmanager
def serving(store: str, log: Path, settings: Mapping[str, str]) -> Iterator[None]:
    """Run a service, in its group, that holds all partitions when the block begins.

    Raises:
        RuntimeError: when it ends by itself, does not come to work, or ends badly when told to.
    """
    migrate_store(store)
    program = Path(sys.executable).with_name("sessionfold")
    with log.open("ab") as output:
        process = subprocess.Popen(
            [program, "run"],
            cwd=ROOT,
            env={**settings, "SESSIONFOLD_STORE": store},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        _wait(lambda: _is_claimed(store, process), "the service came to no partition")
        yield
        _end(process)
    except RuntimeError as error:
        raise RuntimeError(f"{error}; the service says:\n{log.read_text()}") from error
    finally:
        process.kill()
        process.wait()


def wait_until_stored(broker: Broker, topic: str, store: str) -> int:
    """Wait until a store is at the end of its topic; return how many events it has.

    Raises:
        RuntimeError: when it does not come there.
    """
    ends = end_offsets(broker, topic)
    _wait(lambda: _positions(store) == ends, f"the store is not at {ends}")
    with closing(open_store(store, read_only=True)) as opened:
        return sum(state["event_count"] for state in opened.states())


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    if process.wait(_STOP_SECONDS):
        raise RuntimeError(f"the service ended with exit code {process.returncode}")


def _is_claimed(store: str, by: subprocess.Popen[bytes]) -> bool:
    if by.poll() is not None:
        raise RuntimeError(f"the service ended by itself with exit code {by.returncode}")
    with closing(open_store(store, read_only=True)) as opened:
        positions = opened.positions().values()
    return bool(positions) and all(each.owner_epoch for each in positions)


def _positions(store: str) -> dict[int, int]:
    with closing(open_store(store, read_only=True)) as opened:
        return {p: position.next_offset for p, position in opened.positions().items()}


def _wait(is_reached: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not is_reached():
        if time.monotonic() > deadline:
            raise RuntimeError(otherwise)
        time.sleep(_PAUSE_SECONDS)
