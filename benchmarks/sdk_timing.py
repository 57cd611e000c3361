"""How calls are timed: one loop for whatever is called, and the distribution of what it saw.

Each call is one reading of the clock, one Python function without arguments, and one reading more.
Nothing is subtracted: what a function that does nothing takes is measured and shown as a side.
"""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

Call = Callable[[], object]

Times = Sequence["array[int]"]
"""Nanoseconds of single calls, those of each thread in the order in which they were made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Distribution:
    """The times of single calls, in microseconds."""

    median: float
    p99: float
    p999: float
    most: float

    @classmethod
    def of(cls, times: Times) -> Distribution:
        """Return the distribution of at least one time; a percentile is the nearest rank's."""
        ordered = sorted(chain.from_iterable(times))

        def at(share: float) -> float:
            return ordered[min(int(share * len(ordered)), len(ordered) - 1)] / 1000

        return cls(median=at(0.5), p99=at(0.99), p999=at(0.999), most=at(1.0))


@dataclass(frozen=True, kw_only=True, slots=True)
class Pace:
    """When calls are made: ``burst`` of them without a pause, every ``burst / rate`` seconds."""

    burst: int = 0
    """0 makes all calls in one burst."""
    rate: float = 0.0
    """Calls a second; 0 does not pause between bursts."""


def timed(make_call: Callable[[], Call], calls: int, threads: int, pace: Pace) -> Times:
    """Make calls and return what each took on the thread that made it.

    Args:
        make_call: makes what is called; once in each thread, before any of them begins.
        calls: how many in all threads together.
        threads: how many; with 1 it is the calling thread.
        pace: of each thread.
    """
    times = [array("q", bytes(8 * (calls // threads))) for _ in range(threads)]
    if threads == 1:
        _paced(make_call(), times[0], pace)
        return times
    together = threading.Barrier(threads)

    def work(own: array[int]) -> None:
        call = make_call()
        together.wait()
        _paced(call, own, pace)

    workers = [threading.Thread(target=work, args=(own,)) for own in times]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return times


def _paced(call: Call, times: array[int], pace: Pace) -> None:
    burst = pace.burst or len(times)
    due = time.perf_counter()
    for first in range(0, len(times), burst):
        _sleep_until(due)
        _burst(call, times, first, min(first + burst, len(times)))
        if pace.rate:
            due += burst / pace.rate


def _sleep_until(due: float) -> None:
    seconds = due - time.perf_counter()
    if seconds > 0:
        time.sleep(seconds)


def _burst(call: Call, times: array[int], first: int, end: int) -> None:
    clock = time.perf_counter_ns
    for number in range(first, end):
        start = clock()
        call()
        times[number] = clock() - start


def repeated(call: Call, calls: int) -> None:
    """Make calls without looking at the clock."""
    for _ in range(calls):
        call()
