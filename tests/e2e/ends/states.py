"""The states of queue and broker in which a process ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass

from tests.services.kafka import KafkaBroker

QUEUE_EVENTS = 2_000
_FEW_CALLS = 400

_MANY_CALLS = 3_000
"""More than the queue holds: the rest is spooled."""


@dataclass(frozen=True, kw_only=True, slots=True)
class State:
    """What the queue and the broker are like when a process ends."""

    name: str
    title: str
    """As the table has it."""
    calls: int
    """What each role makes in this state."""
    flushes: bool = False
    """Whether all of them are delivered before the end."""
    exit_timeout_seconds: float = 20.0
    begin: Callable[[KafkaBroker], None]
    """What befalls the broker before the calls."""
    relieve: Callable[[KafkaBroker], None]
    """What befalls it just after the end has begun."""
    heal: Callable[[KafkaBroker], None]
    """What befalls it when all are gone."""


def _nothing(_: KafkaBroker) -> None:
    return


def _freeze(broker: KafkaBroker) -> None:
    os.kill(broker.pid, signal.SIGSTOP)


def _thaw(broker: KafkaBroker) -> None:
    os.kill(broker.pid, signal.SIGCONT)


STATES: tuple[State, ...] = (
    State(
        name="empty",
        title="queue empty",
        calls=_FEW_CALLS,
        flushes=True,
        begin=_nothing,
        relieve=_nothing,
        heal=_nothing,
    ),
    State(
        name="full",
        title="queue full",
        calls=_MANY_CALLS,
        begin=_freeze,
        relieve=_thaw,
        heal=_nothing,
    ),
    State(
        name="down",
        title="broker down",
        calls=_MANY_CALLS,
        exit_timeout_seconds=1.0,
        begin=KafkaBroker.kill,
        relieve=_nothing,
        heal=KafkaBroker.restart,
    ),
)
