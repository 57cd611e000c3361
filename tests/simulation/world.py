"""What everything in one simulation has in common: the seed's randomness, the time, what happened.

A process of the simulation passes points: places in the middle of a step, just before or after it
asks the store or the broker for something. There it may be ended, be frozen while others go on, or
get no answer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from sessionfold_consumer.errors import BrokerUnreachableError, StoreBusyError
from sessionfold_consumer.source import MemoryLog

from .profile import draw_profile
from .records import POISON, pool

Freezing = Callable[[str], None]


class Crash(BaseException):
    """Ends a simulated process where it is; nothing in the service may catch it."""


class WrongError(AssertionError):
    """Raised when something is not as it must be.

    ``kind`` is ``state``, ``dead_letter``, ``position``, ``acknowledged``, ``fence``,
    ``assignment``, ``comparison`` or ``liveness``, or ``unexpected`` for an exception that ended a
    process and should not have.
    """

    def __init__(self, kind: str, words: str) -> None:
        super().__init__(f"{kind}: {words}")
        self.kind = kind


class World:
    """One seed's world. ``current`` is the process whose step is running, the innermost one."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.profile = draw_profile(self.random)
        self.log = MemoryLog(self.profile.partitions)
        self.now = 0.0
        self.is_calm = False
        self.store_away_until = self.broker_away_until = 0.0
        self.current = ""
        self.freeze: Freezing = lambda _: None
        self.happened: Counter[str] = Counter()
        self.trace: list[tuple[float, str, str]] = []
        self._kinds, self._weights = zip(*self.profile.troubles.items(), strict=True)
        self._poison_at = self.random.randrange(self.profile.records)
        self._appended = 0

    def clock(self) -> float:
        """Return the time in seconds."""
        return self.now

    def say(self, what: str, who: str | None = None) -> None:
        """Keep a line of the trace."""
        self.trace.append((self.now, self.current if who is None else who, what))

    def note(self, what: str) -> None:
        """Count that something happened that shall sometimes happen, and keep it in the trace."""
        self.happened[what] += 1
        self.say(what)

    def append(self, records: int) -> None:
        """Let the log grow, as long as it has fewer records than it shall have in the end."""
        for _ in range(min(records, self.profile.records - self._appended)):
            partition = self.random.randrange(self.profile.partitions)
            if self.random.random() < self.profile.marks:
                self.log.mark(partition)
            self.log.append(partition, *self._next_record(), headers=(("n", b"%d" % partition),))
            self._appended += 1

    def ends(self) -> dict[int, int]:
        """Return the high watermark of each partition."""
        return {partition: len(log) for partition, log in enumerate(self.log.partitions)}

    def at(self, point: str) -> None:
        """Pass a point of a step: nearly always nothing happens."""
        if self.is_calm or self.random.random() >= self.profile.trouble:
            return
        self._trouble(self.random.choices(self._kinds, self._weights)[0], point)

    def ask_store(self, point: str) -> None:
        """Pass a point in front of a request to the store, which may be away."""
        if self.now < self.store_away_until:
            raise StoreBusyError(f"the store is away at {point}")
        self.at(point)

    def ask_broker(self, point: str) -> None:
        """Pass a point in front of a request to the broker, which may be away."""
        if self.is_broker_away():
            raise unreachable(f"the broker is away at {point}")
        self.at(point)

    def is_broker_away(self) -> bool:
        """Say whether the broker is away."""
        return self.now < self.broker_away_until

    def crash(self, point: str) -> None:
        """End the process that passes a point."""
        self.note(f"crash {point}")
        raise Crash(point)

    def _trouble(self, kind: str, point: str) -> None:
        where = point.partition(" ")[0]
        is_store = where in ("attempt", "claim", "commit", "positions", "shadow")
        if kind == "crash":
            self.crash(point)
        elif kind == "freeze" and point != "commit rows":  # a transaction holds its rows
            self.note(f"freeze {point}")
            self.freeze(point)
        elif kind == "busy" and is_store:
            self.note(f"busy {point}")
            if point.endswith("after") and self.random.random() < 0.4:
                self.note("frozen with a lost answer")
                self.freeze(point)
            raise StoreBusyError(f"no answer at {point}")
        elif kind == "unreachable" and where in ("fetch", "idle", "start", "confirm", "watermarks"):
            self.note(f"unreachable {point}")
            raise unreachable(point)

    def _next_record(self) -> tuple[bytes | None, bytes | None]:
        if self.profile.poison and self._appended == self._poison_at:
            return b"a", POISON
        is_bad = self.random.random() < self.profile.bad
        return self.random.choice(pool().bad if is_bad else pool().good)


def unreachable(detail: str) -> BrokerUnreachableError:
    """Return the error of a broker that does not answer."""
    return BrokerUnreachableError("simulated", 15.0, detail)
