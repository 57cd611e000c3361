"""What goes wrong, said in the log and to the user's callback: each kind once in a while.

Always from the sender's thread, with no lock held: a log handler may call in, or wait for others.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from ._stats import Failure

logger = logging.getLogger("sessionfold")

_REPEAT_SECONDS = 60.0
_TELL_SECONDS = 1.0
_DROPPING = "updates are dropped, counted in stats() and lost_before"


class Complaints:
    """Says what has failed. One thread.

    Args:
        tell: the callback for failures, which may not raise.
    """

    def __init__(self, tell: Callable[[Failure], None]) -> None:
        self._tell = tell
        self._quiet_until: dict[str, float] = {}
        self._dropped = 0
        self._reason = ""
        self._tell_at = 0.0

    def say(self, what: str, why: object) -> None:
        """Say a failure, each kind at most once a minute."""
        if self._may_log(what):
            sentence = f"{what}: {why}"
            logger.warning("%s", sentence)
            self._tell(Failure(reason=sentence))

    def note_dropped(self, calls: int, reason: str) -> None:
        """Take it that updates were dropped; :meth:`tell_dropped` tells it."""
        self._dropped += calls
        self._reason = reason

    def tell_dropped(self, *, at_last: bool = False) -> None:
        """Tell what was noted: the callback of all, at most once a second; the log now and then."""
        if not self._dropped or (time.monotonic() < self._tell_at and not at_last):
            return
        self._tell_at = time.monotonic() + _TELL_SECONDS
        dropped, self._dropped = self._dropped, 0
        if self._may_log(_DROPPING):
            logger.warning("%s: %s", _DROPPING, self._reason)
        self._tell(Failure(reason=self._reason, dropped=dropped))

    def _may_log(self, what: str) -> bool:
        now = time.monotonic()
        if now < self._quiet_until.get(what, now):
            return False
        self._quiet_until[what] = now + _REPEAT_SECONDS
        return True
