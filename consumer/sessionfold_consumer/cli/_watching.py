"""Who watches a running service: the progress line always, health and metrics when asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..config import Settings
from ..observer import Cause, Observer, Progress, Stage

if TYPE_CHECKING:
    from ..commit import Commit
    from ..endpoint import Page
    from ..health import Verdict

F = TypeVar("F", bound=Callable[..., Any])

logger = logging.getLogger("sessionfold_consumer")

_metrics_address = click.option(
    "--metrics-address",
    envvar="SESSIONFOLD_METRICS_ADDRESS",
    show_envvar=True,
    metavar="[HOST:]PORT",
    help="Serve /livez, /readyz and /metrics over HTTP there; on 127.0.0.1 when no host is named. "
    "Port 0 takes a free one, and logs it. Not served by default.",
)
_ready_max_lag = click.option(
    "--ready-max-lag",
    type=click.IntRange(0),
    envvar="SESSIONFOLD_READY_MAX_LAG",
    show_envvar=True,
    metavar="RECORDS",
    help="Not ready while the lag is larger. No bound by default: who comes nearer is ready.",
)


def watching_options(command: F) -> F:
    """Add the options of :func:`watching`."""
    return _metrics_address(_ready_max_lag(command))


class Observers(Observer):
    """Hands on what it sees, to one after the other."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = observers

    def progressed(self, progress: Progress) -> None:
        """Hand it on."""
        for each in self._observers:
            each.progressed(progress)

    def staged(self, stage: Stage, seconds: float) -> None:
        """Hand it on."""
        for each in self._observers:
            each.staged(stage, seconds)

    def committed(self, commit: Commit) -> None:
        """Hand it on."""
        for each in self._observers:
            each.committed(commit)

    def assigned(self, partitions: Collection[int]) -> None:
        """Hand it on."""
        for each in self._observers:
            each.assigned(partitions)

    def revoked(self, partitions: Collection[int]) -> None:
        """Hand it on."""
        for each in self._observers:
            each.revoked(partitions)

    def fenced(self, partitions: Collection[int]) -> None:
        """Hand it on."""
        for each in self._observers:
            each.fenced(partitions)

    def waits(self, cause: Cause) -> None:
        """Hand it on."""
        for each in self._observers:
            each.waits(cause)

    def renewed(self) -> None:
        """Hand it on."""
        for each in self._observers:
            each.renewed()


@contextmanager
def watching(
    settings: Settings, progress: Observer, address: str | None, max_lag: int | None
) -> Iterator[Observer]:
    """Return who is to observe the service; serve health and metrics until the block ends.

    Enter it before the service is made, so that its start is seen, too.

    Args:
        settings: where broker and topic are.
        progress: shows progress; the only one when there is no address.
        address: where to serve; None serves nothing.
        max_lag: not ready while the lag is larger; None is no bound.

    Raises:
        ConfigurationError: when this address cannot be listened at.
    """
    if address is None:
        yield progress
        return
    from ..broker import Broker
    from ..endpoint import serving
    from ..head import watching_head
    from ..health import Bounds, Health
    from ..lag import Lag
    from ..metrics import Metrics

    lag = Lag()
    health = Health(lag, Bounds(lag_records=max_lag))
    metrics = Metrics(lag, health)
    pages = {
        "/livez": lambda: _verdict_page(health.live()),
        "/readyz": lambda: _verdict_page(health.ready()),
        "/metrics": lambda: _metrics_page(metrics.text()),
    }
    broker = Broker(settings)
    with (
        serving(address, pages) as served,
        watching_head(lambda partitions: broker.log_ends(settings.topic, partitions), lag),
    ):
        logger.info("health and metrics: http://%s", served)
        yield Observers(lag, health, metrics, progress)


def _verdict_page(verdict: Verdict) -> Page:
    from ..endpoint import Page

    status = HTTPStatus.OK if verdict.is_good else HTTPStatus.SERVICE_UNAVAILABLE
    return Page(status=status, body=f"{verdict.reason}\n".encode())


def _metrics_page(text: bytes) -> Page:
    from ..endpoint import Page
    from ..metrics import CONTENT_TYPE

    return Page(status=HTTPStatus.OK, body=text, content_type=CONTENT_TYPE)
