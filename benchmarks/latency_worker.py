"""A worker that makes updates at an even pace: ``python -m benchmarks.latency_worker JSON``.

Some of the updates are probes: each is told on standard output as soon as ``update_session`` has
returned. The last line says what became of all updates.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import time
from dataclasses import asdict, dataclass, fields
from typing import Self

import sessionfold as lai

SHUTDOWN_SECONDS = 60.0

_PAUSE_SECONDS = 0.001
_REASON = "found the duplicate charge"


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a worker does."""

    rate: int
    """Updates a second."""
    seconds: float
    """How long."""
    warm_up_seconds: float
    """As much before that; it is not counted."""
    sessions: int
    """The sessions that are updated in turn."""
    probe_share: float
    """The part of the updates that are probes, chosen at random: what has a pace of its own, as the
    SDK's linger, is met at any moment of it."""
    probe_sessions: int
    """The sessions that only probes update, in turn."""


@dataclass(frozen=True, slots=True)
class Probe:
    """One update whose way to the store is followed."""

    session_id: str
    value: int
    """Its ``session_eval``: larger than that of any probe before."""
    returned_ns: int
    """When ``update_session`` had returned, by ``time.monotonic_ns()``, which the processes of a
    machine share."""

    def line(self) -> str:
        """Return it as a line of text."""
        return f"{self.session_id} {self.value} {self.returned_ns}"

    @classmethod
    def read(cls, line: str) -> Self:
        """Return the probe that a line tells of."""
        session_id, value, returned_ns = line.split()
        return cls(session_id, int(value), int(returned_ns))


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """What a worker says at its end."""

    rate: float
    """Updates a second, as they were made."""
    accepted: int
    delivered: int
    dropped: int
    spooled: int
    in_flight: int
    coalesced: int

    @property
    def lost(self) -> int:
        """Updates that were accepted, and that the broker has not acknowledged."""
        return self.accepted - self.delivered


def main() -> None:
    """Follow the plan in the argument."""
    plan = Plan(**json.loads(sys.argv[1]))
    rate = _work(plan)
    lai.shutdown(SHUTDOWN_SECONDS)
    stats = asdict(lai.stats())
    told = {each.name: stats[each.name] for each in fields(Account) if each.name in stats}
    print(json.dumps(asdict(Account(rate=rate, **told))), flush=True)


def _work(plan: Plan) -> float:
    """Make all updates; return their rate."""
    next_session = itertools.cycle(_begun(plan.sessions)).__next__
    next_probed = itertools.cycle(_begun(plan.probe_sessions)).__next__
    total = int(plan.rate * (plan.warm_up_seconds + plan.seconds))
    chance = random.Random(1)
    began, made = time.monotonic(), 0
    while made < total:
        due = min(total, 1 + int((time.monotonic() - began) * plan.rate))
        for number in range(made, due):
            if chance.random() >= plan.probe_share:
                lai.update_session(f"step {number}", 0.4, _REASON, session_id=next_session())
            else:
                _probe(next_probed(), number)
        made = due
        time.sleep(_PAUSE_SECONDS)
    return total / (time.monotonic() - began)


def _begun(sessions: int) -> list[str]:
    return [lai.init(session_name="Benchmark") for _ in range(sessions)]


def _probe(session_id: str, value: int) -> None:
    lai.update_session(session_eval=float(value), session_id=session_id)
    print(Probe(session_id, value, time.monotonic_ns()).line(), flush=True)


if __name__ == "__main__":
    main()
