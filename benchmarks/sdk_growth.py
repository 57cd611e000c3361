"""Whether the SDK's memory grows with uptime: millions of calls while sessions come and go.

``python -m benchmarks.sdk_growth JSON`` is started by ``benchmarks.sdk_calls``: once for the
resident memory after each stage, once more under ``tracemalloc`` for which file it grew in. The
first two stages fill caches and pools; growth is what comes after them.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from dataclasses import asdict, dataclass
from pathlib import Path

import sessionfold as lai
from benchmarks.child import ask
from benchmarks.sdk_sides import FLUSH_SECONDS, Place

STAGES = 8
SETTLED_STAGE = 2
"""Growth is counted from the end of this stage on."""

_CALLS_A_SESSION = 20
_SESSIONS_A_BATCH = 500
_FILES_SHOWN = 5
_KIBI = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Uptime:
    """A long life of a worker."""

    place: Place
    calls: int
    is_traced: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """What the stages have left."""

    calls: int
    """Calls made, all delivered."""
    kibibytes: list[float]
    """After each stage: resident memory or, when traced, what Python has allocated."""
    files: dict[str, float]
    """When traced: the files that hold most more than after the settled stage, and how many KiB."""

    @property
    def grown_kibibytes(self) -> float:
        """How much more there is after the last stage than after the settled one."""
        return self.kibibytes[-1] - self.kibibytes[SETTLED_STAGE - 1]


def run(uptime: Uptime, environment: dict[str, str]) -> Growth:
    """Live through ``uptime`` in a new process.

    Raises:
        RuntimeError: when it fails; its standard error has been passed on.
    """
    return Growth(**ask("benchmarks.sdk_growth", asdict(uptime), environment))


def main() -> None:
    """Live through what the argument describes; print the growth as JSON."""
    told = json.loads(sys.argv[1])
    place = Place(**told.pop("place"))
    print(json.dumps(asdict(_live(Uptime(place=place, **told)))))


def _live(uptime: Uptime) -> Growth:
    lai.configure(bootstrap_servers=uptime.place.bootstrap_servers, topic=uptime.place.topic)
    if uptime.is_traced:
        tracemalloc.start()
    kibibytes: list[float] = []
    snapshots: list[tracemalloc.Snapshot] = []
    batches = max(1, uptime.calls // (STAGES * _SESSIONS_A_BATCH * _CALLS_A_SESSION))
    for stage in range(1, STAGES + 1):
        for batch in range(batches):
            _batch(stage * batches + batch)
        gc.collect()
        kibibytes.append(_traced_kibibytes() if uptime.is_traced else _resident_kibibytes())
        if uptime.is_traced and stage in {SETTLED_STAGE, STAGES}:
            snapshots.append(tracemalloc.take_snapshot())
    files = _grown_files(*snapshots) if uptime.is_traced else {}
    tracemalloc.stop()
    return Growth(calls=_closed_books(batches), kibibytes=kibibytes, files=files)


def _batch(number: int) -> None:
    """Live through sessions in a thread that ends with them; then wait until all is delivered."""
    worker = threading.Thread(target=_sessions, args=(number,))
    worker.start()
    worker.join()
    if not lai.flush(FLUSH_SECONDS):
        raise RuntimeError(f"not everything was delivered: {lai.stats()}")


def _sessions(batch: int) -> None:
    for number in range(_SESSIONS_A_BATCH):
        lai.init(session_name=f"Session {number} of {batch}")
        for step in range(_CALLS_A_SESSION - 2):
            lai.update_session(
                task=f"step {step} of {number} in {batch}",
                session_eval=step / _CALLS_A_SESSION,
                session_eval_reason=f"{step} steps are done",
            )
        lai.end_session(is_successful=number % 2 == 0, is_successful_reason=f"ended {number}")


def _closed_books(batches: int) -> int:
    """Return how many calls were made, once all are delivered."""
    lai.shutdown(FLUSH_SECONDS)
    stats, calls = lai.stats(), STAGES * batches * _SESSIONS_A_BATCH * _CALLS_A_SESSION
    if not stats.accepted == stats.delivered == calls:
        raise RuntimeError(f"{calls} calls, but {stats}")
    return calls


def _grown_files(settled: tracemalloc.Snapshot, last: tracemalloc.Snapshot) -> dict[str, float]:
    ours = tracemalloc.Filter(inclusive=False, filename_pattern=tracemalloc.__file__)
    before, after = settled.filter_traces([ours]), last.filter_traces([ours])
    grown = sorted(after.compare_to(before, "filename"), key=lambda each: -each.size_diff)
    return {
        "/".join(Path(each.traceback[0].filename).parts[-2:]): each.size_diff / _KIBI
        for each in grown[:_FILES_SHOWN]
    }


def _traced_kibibytes() -> float:
    return tracemalloc.get_traced_memory()[0] / _KIBI


def _resident_kibibytes() -> float:
    """Return the resident memory now (Linux, macOS); the peak would hide what was given back."""
    ended = subprocess.run(
        ["ps", "-o", "rss=", "-p", str(os.getpid())], capture_output=True, text=True, check=True
    )
    return float(ended.stdout)


if __name__ == "__main__":
    main()
