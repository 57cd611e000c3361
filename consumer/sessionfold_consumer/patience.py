"""How long to wait before broker or store are asked again: longer each time, and never the same.

Without the random part all processes that lost the same database would come back together.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable

logger = logging.getLogger("sessionfold_consumer")

_FIRST_SECONDS = 0.2
_LONGEST_SECONDS = 5.0
_REMIND_SECONDS = 60.0


class Patience:
    """Waits that grow from 0.2 s to 5 s, each shortened by up to a half at random.

    ``reason`` is what is waited for, or None. Said once when it begins, then once a minute, and
    once when it is over.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._random = random.Random()  # noqa: S311 - spreads load, guards nothing
        self._delay = _FIRST_SECONDS
        self._until = self._began = self._said = 0.0
        self.reason: str | None = None

    def is_waiting(self) -> bool:
        """Say whether it is too early to ask again."""
        return self.reason is not None and self._clock() < self._until

    def wait(self, error: Exception) -> None:
        """Wait after an error that can pass."""
        now = self._clock()
        if self.reason is None:
            self._began = now
        if self.reason is None or now - self._said >= _REMIND_SECONDS:
            self._said = now
            logger.warning("waiting: %s", error)
        self.reason = str(error)
        self._until = now + self._delay * self._random.uniform(0.5, 1.0)
        self._delay = min(2 * self._delay, _LONGEST_SECONDS)

    def rest(self) -> None:
        """Note that all was done that was asked for."""
        if self.reason is not None:
            logger.warning("going on after %.0f s", self._clock() - self._began)
            self.reason = None
            self._delay = _FIRST_SECONDS
