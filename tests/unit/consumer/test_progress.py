"""Progress lines: what they say, and when, by a clock that is given."""

from __future__ import annotations

import io
import logging

import pytest

from sessionfold_consumer.cli._progress import ProgressReporter, describe
from sessionfold_consumer.observer import Progress


class Clock:
    """Time as the test wants it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def progress(records: int, *, end: int = 10_000, dead_letters: int = 0) -> Progress:
    """Return the progress of one partition."""
    return Progress(
        records=records, dead_letters=dead_letters, next_offsets={0: records}, ends={0: end}
    )


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still until it is set."""
    return Clock()


@pytest.fixture(autouse=True)
def _logs(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "sessionfold_consumer")


def test_a_line_says_records_rate_lag_and_time_left() -> None:
    """Numbers with thousands, the time at this rate; nothing is promised without a rate."""
    assert describe(progress(2_000), 4_000.0) == "2,000 records  4,000/s  lag 8,000  ETA 2 s"
    assert describe(progress(2_000), 0.0) == "2,000 records  0/s  lag 8,000"
    assert describe(progress(10_000), 5.0) == "10,000 records  5/s  lag 0"
    assert describe(progress(10_000, dead_letters=1_234), 5.0).endswith("  1,234 set aside")


def test_a_service_that_follows_on_another_has_a_rate_of_its_own(clock: Clock) -> None:
    """As those that a rebuild makes, each of which counts from 0."""
    stream = Terminal()
    reporter = ProgressReporter(stream, clock)
    for records in (8_000, 2_000):
        clock.now += 1
        reporter.progressed(progress(records))
    assert "2,000 records  2,000/s" in stream.getvalue()


def test_a_terminal_shows_one_line_that_renews_itself(clock: Clock) -> None:
    """Four times a second at most, each with the rate since the last one shown."""
    terminal = Terminal()
    report = ProgressReporter(terminal, clock)
    for seconds, records in ((0.1, 1000), (0.5, 2000), (0.6, 2500), (1.0, 3000)):
        clock.now = 1000.0 + seconds
        report.progressed(progress(records))
    assert terminal.getvalue() == (
        "\r\x1b[K2,000 records  4,000/s  lag 8,000  ETA 2 s"
        "\r\x1b[K3,000 records  2,000/s  lag 7,000  ETA 4 s"
    )


def test_the_line_of_a_terminal_is_gone_at_the_end(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Instead of it there is the sum of the whole run."""
    terminal = Terminal()
    report = ProgressReporter(terminal, clock)
    clock.now += 4
    report.progressed(progress(8_000))
    report.finish(progress(10_000, dead_letters=3))
    assert terminal.getvalue().endswith("\r\x1b[K")
    assert caplog.messages == ["folded 10,000 records in 4.0 s (2,500/s), 3 set aside; lag 0"]


def test_elsewhere_there_is_a_log_line_now_and_then(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Each ten seconds at most, and none while nothing changes; the stream stays clean."""
    stream = io.StringIO()
    report = ProgressReporter(stream, clock)
    for seconds, records in ((9, 900), (10, 1000), (19, 1900), (25, 2500), (40, 2500)):
        clock.now = 1000.0 + seconds
        report.progressed(progress(records))
    report.finish(progress(2500))
    assert stream.getvalue() == ""
    assert caplog.messages == [
        "1,000 records  100/s  lag 9,000  ETA 90 s",
        "2,500 records  100/s  lag 7,500  ETA 75 s",
        "folded 2,500 records in 40.0 s (62/s); lag 7,500",
    ]


def test_a_run_without_time_has_a_sum(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """A clock with coarse steps may show none."""
    ProgressReporter(io.StringIO(), clock).finish(progress(0, end=0))
    assert caplog.messages == ["folded 0 records in 0.0 s (0/s); lag 0"]
