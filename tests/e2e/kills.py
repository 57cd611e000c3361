"""Consumers killed at random moments while workers publish; the store verified after each kill."""

from __future__ import annotations

import logging
import random
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from sessionfold_consumer.verify import Report
from tests.e2e.members import Members, Oracle, next_offsets, wait_until

logger = logging.getLogger("tests.kills")

_HASTY_SHARE = 0.25
"""The share of kills that come before the one before is overcome."""

_HASTY_SECONDS = 2.0
_STEADY_SECONDS = 0.7


@dataclass(frozen=True, kw_only=True, slots=True)
class Kill:
    """One kill: what the verifier said of the store as it was left, and how long it stood still."""

    report: Report | None
    recovery_seconds: float | None
    """Until every partition was folded on; None when the next kill came first."""


class Killer:
    """Kills one of several processes after the other, and starts it again at once.

    Args:
        members: over the store; those of ``names`` run.
        names: of whom a random one is killed each time.
        store_url: the store.
        oracle: verifies it.
        chance: when and whom.
    """

    def __init__(
        self,
        members: Members,
        names: Sequence[str],
        store_url: str,
        oracle: Oracle,
        chance: random.Random,
    ) -> None:
        self._members = members
        self._names = names
        self._store_url = store_url
        self._oracle = oracle
        self._chance = chance

    def kill(self, times: int) -> list[Kill]:
        """Kill so often; verified each time as the kill left it, while the next one starts."""
        with ThreadPoolExecutor(1) as pool:
            kills = [self._kill_one(pool, is_last=left == 0) for left in reversed(range(times))]
        logger.info("%s", summary(kills))
        return kills

    def _kill_one(self, pool: ThreadPoolExecutor, *, is_last: bool) -> Kill:
        victim = self._chance.choice(self._names)
        self._members.kill(victim)
        began = time.monotonic()
        checked = pool.submit(self._oracle.check)
        before = next_offsets(self._store_url)
        self._members.start(victim)
        seconds = None
        if is_last or self._chance.random() >= _HASTY_SHARE:
            wait_until(lambda: self._has_moved(before), "a recovery", self._members)
            seconds = time.monotonic() - began
            time.sleep(self._chance.uniform(0, _STEADY_SECONDS))
        else:
            time.sleep(self._chance.uniform(0, _HASTY_SECONDS))
        return Kill(report=_clean(checked, victim), recovery_seconds=seconds)

    def _has_moved(self, before: dict[int, int]) -> bool:
        now = next_offsets(self._store_url)
        return bool(now) and all(now[each] > before.get(each, 0) for each in now)


def summary(kills: Sequence[Kill]) -> str:
    """Say in one line how many kills were clean, and how long the recovery took."""
    seconds = sorted(each.recovery_seconds for each in kills if each.recovery_seconds is not None)
    verified = sum(1 for each in kills if each.report is not None)
    noted = sum(1 for each in kills if each.report is not None and each.report.notes)
    return (
        f"{len(kills)} kills, {verified} verified, {noted} with notes; time to recover "
        f"(of {len(seconds)}): min {seconds[0]:.1f} s, median {statistics.median(seconds):.1f} s, "
        f"max {seconds[-1]:.1f} s"
    )


def _clean(checked: Future[Report | None], victim: str) -> Report | None:
    report = checked.result()
    assert report is None or report.is_clean, (victim, report.differences[:5])
    return report
