"""Asks the broker itself where the log ends, beside the service.

The service's own client learns of new records by being sent some. When it is not, because it hangs
or the broker does, nothing tells it; so another client asks, every few seconds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from .errors import ConsumerError
from .lag import Lag

logger = logging.getLogger("sessionfold_consumer")

PERIOD_SECONDS = 5.0
_CLOSE_SECONDS = 1.0

Ask = Callable[[Sequence[int]], Mapping[int, int]]
"""Takes partitions, returns where they end; raises a ``ConsumerError`` when it cannot say."""


@contextmanager
def watching_head(ask: Ask, lag: Lag, period_seconds: float = PERIOD_SECONDS) -> Iterator[None]:
    """Tell ``lag`` where the log ends, from a thread, until the block ends.

    ``ask`` is only called in that thread. A question that has no answer by the end of the block
    holds it up for a second at most.
    """
    ended = threading.Event()
    thread = threading.Thread(
        target=_watch, args=(ask, lag, period_seconds, ended), name="sessionfold-head", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(_CLOSE_SECONDS)


def _watch(ask: Ask, lag: Lag, period_seconds: float, ended: threading.Event) -> None:
    while not ended.is_set():
        asked = time.time()
        try:
            # A process without a partition wants to know that the broker answers: any topic has 0.
            lag.told(ask(lag.partitions() or [0]), asked)
        except ConsumerError as error:
            # That there was no answer is what health judges; the service itself says why.
            logger.debug("the broker did not say where the log ends: %s", error)
        ended.wait(period_seconds)
