"""Progress of a service: one line that renews itself on a terminal, log lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from ..observer import Observer, Progress

logger = logging.getLogger("sessionfold_consumer")

_TERMINAL_SECONDS = 0.25
_LOG_SECONDS = 10.0
_CLEAR_LINE = "\r\x1b[K"


class ProgressReporter(Observer):
    """Takes progress as often as there is any, and shows it seldom.

    Args:
        stream: where a terminal may be.
        clock: seconds, never running backwards.
    """

    def __init__(self, stream: TextIO, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._on_terminal = stream.isatty()
        self._period_seconds = _TERMINAL_SECONDS if self._on_terminal else _LOG_SECONDS
        self._started = self._last_shown = clock()
        self._last_records = 0
        self._shown: Progress | None = None

    def progressed(self, progress: Progress) -> None:
        """Show progress if the last showing was long enough ago."""
        now = self._clock()
        elapsed = now - self._last_shown
        if elapsed < self._period_seconds or (progress == self._shown and not self._on_terminal):
            return
        if progress.records < self._last_records:
            self._last_records = 0  # a rebuild makes one service after the other
        rate = (progress.records - self._last_records) / elapsed
        self._last_shown, self._last_records, self._shown = now, progress.records, progress
        self._show(describe(progress, rate))

    def finish(self, progress: Progress) -> None:
        """Show the sum of the whole run."""
        seconds = max(self._clock() - self._started, 1e-9)
        self.clear()
        aside = f", {progress.dead_letters:,} set aside" if progress.dead_letters else ""
        rate = progress.records / seconds
        logger.info(
            "folded %s records in %.1f s (%s/s)%s; lag %s",
            f"{progress.records:,}", seconds, f"{rate:,.0f}", aside, f"{progress.lag:,}",
        )  # fmt: skip

    def clear(self) -> None:
        """Remove the line on a terminal."""
        if self._on_terminal:
            self._stream.write(_CLEAR_LINE)
            self._stream.flush()

    def _show(self, line: str) -> None:
        if self._on_terminal:
            self._stream.write(f"{_CLEAR_LINE}{line}")
            self._stream.flush()
        else:
            logger.info(line)


def describe(progress: Progress, records_per_second: float) -> str:
    """Return one line: records, rate, lag, and the time the lag takes at this rate."""
    parts = [
        f"{progress.records:,} records",
        f"{records_per_second:,.0f}/s",
        f"lag {progress.lag:,}",
    ]
    if progress.lag and records_per_second > 0:
        parts.append(f"ETA {progress.lag / records_per_second:,.0f} s")
    if progress.dead_letters:
        parts.append(f"{progress.dead_letters:,} set aside")
    return "  ".join(parts)


@contextmanager
def progress_reporter() -> Iterator[ProgressReporter]:
    """Make a reporter on stderr, and leave the terminal's line clean whatever happens."""
    reporter = ProgressReporter(sys.stderr)
    try:
        yield reporter
    finally:
        reporter.clear()
