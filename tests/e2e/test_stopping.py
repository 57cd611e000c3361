"""A service is told to end while its broker is frozen: it ends, and in time."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.workload import Workload
from tests.e2e.conftest import CommandLine, store_url
from tests.e2e.members import next_offsets, wait_until
from tests.services.kafka import KafkaBroker
from tests.services.topics import append, create_topic, end_offsets

pytestmark = pytest.mark.kafka

logger = logging.getLogger("tests.stopping")

STOP_SECONDS = 10.0
"""What is promised."""

_MARGIN_SECONDS = 4.0
_FROZEN_SECONDS = 2.0


@pytest.fixture
def cli(own_broker: KafkaBroker, folder: Path) -> CommandLine:
    """The command line, pointed at a topic on a broker that may be frozen."""
    create_topic(own_broker, "t")
    append(own_broker, "t", Workload(events=200, sessions=20, live=5).records())
    return CommandLine(
        {
            "SESSIONFOLD_BOOTSTRAP_SERVERS": own_broker.bootstrap_servers,
            "SESSIONFOLD_TOPIC": "t",
            "SESSIONFOLD_STORE": store_url(folder / "sessions.db"),
        }
    )


@pytest.mark.soak
@pytest.mark.parametrize("protocol", ["classic", "consumer"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_while_no_broker_answers(
    own_broker: KafkaBroker, cli: CommandLine, protocol: str, number: signal.Signals
) -> None:
    """Within ten seconds and with 0, although it cannot say good-bye to its group."""
    with caught_up(own_broker, cli, "--group-protocol", protocol) as service, frozen(own_broker):
        time.sleep(_FROZEN_SECONDS)
        _, words = _stop(service, number)
    assert service.returncode == 0, words
    assert "folded 200 records" in words


@pytest.mark.parametrize("frozen_seconds", [0.0, pytest.param(4.0, marks=pytest.mark.soak)])
def test_it_ends_with_records_in_hand(
    own_broker: KafkaBroker, cli: CommandLine, frozen_seconds: float
) -> None:
    """The same when it just began, and waits for an answer of the broker in the middle of a batch.

    However it ends: nothing is wrong in the store.
    """
    append(own_broker, "t", Workload(events=150_000, sessions=2_000).records())
    store = cli.environment["SESSIONFOLD_STORE"]
    with running(cli, "--batch-records", "2000") as service:
        wait_until(lambda: any(next_offsets(store).values()), "a first commit")
        with frozen(own_broker):
            time.sleep(frozen_seconds)
            seconds, words = _stop(service, signal.SIGTERM)
    assert service.returncode == 0, (seconds, words)
    assert ": right (" in cli.good("verify")


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)]
)
def test_a_second_signal_ends_it_at_once(
    own_broker: KafkaBroker, cli: CommandLine, number: signal.Signals
) -> None:
    """By that signal, be it the same or another; what it has stored is right."""
    with caught_up(own_broker, cli) as service, frozen(own_broker):
        time.sleep(_FROZEN_SECONDS)
        service.terminate()
        time.sleep(0.5)
        assert service.poll() is None, "it had ended after the first"
        service.send_signal(number)
        service.communicate(timeout=1.0)
    assert service.returncode == -number
    assert ": right (" in cli.good("verify")


@contextmanager
def caught_up(
    broker: KafkaBroker, cli: CommandLine, *options: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a service in its group that has folded all there is; it is killed at the end."""
    store, ends = cli.environment["SESSIONFOLD_STORE"], end_offsets(broker, "t")
    with running(cli, *options) as service:
        wait_until(lambda: next_offsets(store) == ends, "the end of the log")
        yield service


@contextmanager
def running(cli: CommandLine, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run a service; it is killed at the end."""
    with cli.start("run", *options) as service:
        try:
            yield service
        finally:
            service.kill()


@contextmanager
def frozen(broker: KafkaBroker) -> Iterator[None]:
    """The broker takes connections and bytes, and does nothing, until the end of the block."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


def _stop(service: subprocess.Popen[str], number: signal.Signals) -> tuple[float, str]:
    """Send a signal; return how long the process took to end, and what it said."""
    began = time.monotonic()
    service.send_signal(number)
    _, words = service.communicate(timeout=STOP_SECONDS + _MARGIN_SECONDS)
    seconds = time.monotonic() - began
    logger.info("ended %.1f s after %s", seconds, number.name)
    return seconds, words
