"""The breaker: when so many records are no valid events that to set them aside is wrong.

A few broken records are set aside and the rest goes on. Most of them broken, or a long run, is not
many broken records but one broken roll-out: the service stops before it has set aside a whole log.
Pure: no clock, no I/O.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import compress

from .columnar import columns_of
from .decode import Refused

_WINDOW_RECORDS = 1_000
_UNKNOWN_SCHEMA = "unknown_schema"
_UNKNOWN_SCHEMA_RUN = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """How many records may be refused (``--breaker-ratio``, ``--breaker-run``).

    ``ratio``: the largest part of at least the last 1,000 records; 1 is no limit. ``run``: the
    longest run of refused records without a valid one between; 0 is no limit. Of records with an
    unknown schema, 100 in a row are enough: they come from workers that are newer than this.
    """

    ratio: float = 0.5
    run: int = 1_000


class Breaker:
    """Watches the verdicts of one service, batch by batch."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._window: deque[tuple[int, int]] = deque()
        self._runs = {"": 0, _UNKNOWN_SCHEMA: 0}

    def judge(self, records: int, refused: Sequence[Refused]) -> str | None:
        """Take the verdicts of one batch; return why the service has to stop, or None.

        Args:
            records: how many were decoded.
            refused: those of them that are no valid events, in order of place.
        """
        if not records:
            return None
        self._window.append((records, len(refused)))
        while sum(size for size, _ in self._window) - self._window[0][0] >= _WINDOW_RECORDS:
            self._window.popleft()
        return self._judge_runs(records, refused) or self._judge_ratio(refused)

    def _judge_runs(self, records: int, refused: Sequence[Refused]) -> str | None:
        places, reasons, _ = columns_of(refused) or ((), (), ())
        for reason, limit in self._run_limits().items():
            chosen = places if not reason else compress(places, map(reason.__eq__, reasons))
            longest, trailing = _runs(self._runs[reason], records, chosen)
            self._runs[reason] = trailing
            if limit and longest >= limit:
                kind = f"records of reason {reason}" if reason else "records"
                return f"{longest:,} {kind} in a row were no valid events ({_most_common(refused)})"
        return None

    def _judge_ratio(self, refused: Sequence[Refused]) -> str | None:
        records, bad = map(sum, zip(*self._window, strict=True))
        if records < _WINDOW_RECORDS or bad <= records * self._limits.ratio:
            return None
        return (
            f"{bad:,} of the last {records:,} records were no valid events, more than the "
            f"{self._limits.ratio:.0%} allowed ({_most_common(refused)})"
        )

    def _run_limits(self) -> dict[str, int]:
        run = self._limits.run
        return {"": run, _UNKNOWN_SCHEMA: min(run, _UNKNOWN_SCHEMA_RUN)}


def _runs(before: int, records: int, places: Iterable[int]) -> tuple[int, int]:
    """Return the longest run that has an end in this batch, and the one that it ends with.

    Args:
        before: the length of the run that the batch before ended with.
        records: how many records the batch has.
        places: those of the refused ones, ascending.
    """
    longest, run, expected = before, before, 0
    for place in places:
        run = run + 1 if place == expected else 1
        expected = place + 1
        longest = max(longest, run)
    return longest, run if expected == records else 0


def _most_common(refused: Sequence[Refused]) -> str:
    counted = Counter(each.reason for each in refused).most_common(3)
    return ", ".join(f"{reason}: {count:,}" for reason, count in counted) or "none in this batch"
