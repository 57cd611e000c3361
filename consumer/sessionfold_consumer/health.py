"""Whether a service lives and is ready: a judgement over what was observed, and nothing else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .lag import Lag, Place
from .observer import Cause, Observer, Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Bounds:
    """How long things may take, in seconds, before the service counts as dead or not ready."""

    step_seconds: float = 60.0
    """One step of the loop, or the start. Longer than any time limit for broker or store."""
    still_seconds: float = 60.0
    """A partition that is behind, at one position."""
    head_seconds: float = 20.0
    """Since the broker said where the log ends."""
    lag_records: int | None = None
    """Records that are in the log and not yet in the store; None is no bound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """An answer, and why, in one sentence."""

    is_good: bool
    reason: str


class Health(Observer):
    """Judges a service. May be asked from any thread.

    Args:
        lag: sees the same service.
        bounds: what is too long and too much.
        clock: seconds that never run backwards.
    """

    def __init__(
        self,
        lag: Lag,
        bounds: Bounds = Bounds(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lag = lag
        self._bounds = bounds
        self._clock = clock
        self._lock = threading.Lock()
        self._stepped = clock()
        self._has_begun = False
        self._cause: Cause | None = None
        self._waiting_since: float | None = None

    def progressed(self, progress: Progress) -> None:
        """Note that the loop made a step, and whether it waits."""
        with self._lock:
            self._stepped = self._clock()
            self._has_begun = True
            if progress.waiting is None:
                self._cause = self._waiting_since = None
            elif self._waiting_since is None:
                self._waiting_since = self._stepped

    def waits(self, cause: Cause) -> None:
        """Note what the service waits for."""
        with self._lock:
            self._cause = cause

    def live(self) -> Verdict:
        """Say whether the loop goes on; when it does not, only a new process helps."""
        with self._lock:
            quiet = self._clock() - self._stepped
            begun = self._has_begun
        if quiet <= self._bounds.step_seconds:
            return _good("live")
        what = "the loop has made no step" if begun else "the service has not begun"
        return _bad(f"{what} for {quiet:.0f} s")

    def ready(self) -> Verdict:
        """Say whether the service does its work: keeps up, or comes nearer to the log's end.

        One that was given no partition is ready when the broker answers.
        """
        live = self.live()
        if not live.is_good:
            return live
        problem = self._start_or_wait() or self._head() or self._stillness() or self._excess()
        return _good("ready") if problem is None else _bad(problem)

    def _start_or_wait(self) -> str | None:
        with self._lock:
            if not self._has_begun:
                return "the service has not begun: it looks at store, broker and topic first"
            if self._waiting_since is None:
                return None
            # Not the sentence of the error: it may name hosts. The log has it.
            what = f"the {self._cause}" if self._cause else "broker or store"
            seconds = self._clock() - self._waiting_since
        return f"the service has been waiting for {what} for {seconds:.0f} s; its log says why"

    def _head(self) -> str | None:
        seconds = self._lag.head_seconds()
        if seconds is None:
            return "the broker has not said yet where the log ends"
        if seconds > self._bounds.head_seconds:
            return f"the broker has not said for {seconds:.0f} s where the log ends"
        return None

    def _stillness(self) -> str | None:
        stillest = max(self._lag.places(), key=lambda place: place.still_seconds, default=None)
        if stillest is None or stillest.still_seconds <= self._bounds.still_seconds:
            return None
        return _still(stillest)

    def _excess(self) -> str | None:
        bound = self._bounds.lag_records
        lag = sum(place.lag for place in self._lag.places())
        if bound is None or lag <= bound:
            return None
        return f"the lag, {lag:,}, is more than {bound:,} (--ready-max-lag)"


def _still(place: Place) -> str:
    return (
        f"partition {place.partition} has not moved for {place.still_seconds:.0f} s: the next "
        f"offset is {place.next_offset}, and the log ends at {place.end}"
    )


def _good(reason: str) -> Verdict:
    return Verdict(is_good=True, reason=reason)


def _bad(reason: str) -> Verdict:
    return Verdict(is_good=False, reason=reason)
