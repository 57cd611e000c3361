"""What broken records cost: a topic in which some were mutated, beside the same one without.

``python -m benchmarks.garbage`` starts a real broker, fills two topics with the same workload, in
one of them with 50,000 of 1,000,000 records mutated, and folds them in turns, each into a fresh
SQLite file. At the end ``sessionfold verify`` says whether all that the strict reference accepts
was folded, and all that it refuses set aside. It ends with 1 when that is not so, or when the
median of the ratios is below ``LEAST_RATIO``.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from benchmarks.books import run
from benchmarks.figures import save
from benchmarks.sides import Measured, measured
from benchmarks.workload import Workload, append
from sessionfold_consumer.config import Settings
from sessionfold_consumer.source.kafka import KafkaSource
from sessionfold_consumer.store import open_store
from sessionfold_consumer.verify import Report, Verifier
from tests.services.kafka import Broker, KafkaBroker, kafka_available
from tests.services.topics import create_topic, unique_topic_name

LEAST_RATIO = 0.8
"""Of the rates with and without mutated records, in the same run."""

_MOST_FLIPS = 3
_MOST_INSERTED = 4

Record = tuple[bytes, bytes]


@dataclass(frozen=True, kw_only=True, slots=True)
class Round:
    """Both topics, folded one after the other."""

    clean: Measured
    mutated: Measured

    @property
    def ratio(self) -> float:
        """The rate with mutated records, as a part of that without."""
        return self.mutated.records_per_second / self.clean.records_per_second


class Comparison:
    """The two topics, filled; their records are the same but for the mutated ones.

    Args:
        bootstrap_servers: a broker that has both.
        clean: the topic without mutated records.
        mutated: the one with them.
        records: how many records each has.
    """

    def __init__(self, bootstrap_servers: str, clean: str, mutated: str, records: int) -> None:
        self._servers = bootstrap_servers
        self._clean = clean
        self._mutated = mutated
        self._records = records

    @classmethod
    def fill(cls, broker: Broker, workload: Workload, bad: int, partitions: int) -> Comparison:
        """Make both topics; ``bad`` records of the second one are mutated."""
        names = unique_topic_name("clean"), unique_topic_name("mutated")
        for name, count in zip(names, (0, bad), strict=True):
            create_topic(broker, name, partitions)
            append(broker.bootstrap_servers, name, with_mutations(workload, count))
        return cls(broker.bootstrap_servers, *names, workload.events)

    def round(self, *, clean_first: bool) -> Round:
        """Fold both topics, in this order or the other."""
        order = ["clean", "mutated"] if clean_first else ["mutated", "clean"]
        topics = {"clean": self._clean, "mutated": self._mutated}
        return Round(**{name: self._fold(topics[name]) for name in order})

    def verify(self) -> Report:
        """Fold the mutated topic once more, and say whether that is right."""
        settings = Settings(bootstrap_servers=self._servers, topic=self._mutated)
        with tempfile.TemporaryDirectory(prefix="sessionfold-bench-") as folder:
            url = f"sqlite:///{Path(folder, 'sessions.db')}"
            run(self._command(self._mutated, url))
            with closing(open_store(url, read_only=True)) as store:
                return Verifier(partial(KafkaSource, settings, "sessionfold-bench")).check(store)

    def _fold(self, topic: str) -> Measured:
        with tempfile.TemporaryDirectory(prefix="sessionfold-bench-") as folder:
            command = self._command(topic, f"sqlite:///{Path(folder, 'sessions.db')}")
            return measured(command, self._records)

    def _command(self, topic: str, store: str) -> list[str]:
        return [sys.executable, "-m", "benchmarks.timed_run", self._servers, topic, store, "1"]


def with_mutations(workload: Workload, bad: int) -> Iterator[Record]:
    """Yield the records of a workload, so many of them mutated, anywhere."""
    chance = random.Random(workload.seed)
    places = {*chance.sample(range(workload.events), bad)}
    for place, (key, value) in enumerate(workload.records()):
        yield key, mutated(chance, value) if place in places else value


def mutated(chance: random.Random, value: bytes) -> bytes:
    """Return a value with one to three bytes changed, cut short, or with bytes put in between."""
    place = chance.randrange(len(value))
    match chance.randrange(3):
        case 0:
            return value[:place]
        case 1:
            inserted = chance.randbytes(chance.randint(1, _MOST_INSERTED))
            return value[:place] + inserted + value[place:]
        case _:
            changed = bytearray(value)
            for _ in range(chance.randint(1, _MOST_FLIPS)):
                changed[chance.randrange(len(value))] ^= chance.randint(1, 255)
            return bytes(changed)


def rounds(comparison: Comparison, count: int) -> list[Round]:
    """Measure so often, the first topic by turns."""
    return [comparison.round(clean_first=number % 2 == 0) for number in range(count)]


def median_ratio(found: Iterable[Round]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(each.ratio for each in found)


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.garbage", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--mutated", type=int, default=50_000)
    parser.add_argument("--sessions", type=int, default=90_000)
    parser.add_argument("--partitions", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    given = parser.parse_args()
    missing = kafka_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    workload = Workload(events=given.events, sessions=given.sessions)
    with KafkaBroker.start(heap_megabytes=1024) as broker:
        comparison = Comparison.fill(broker, workload, given.mutated, given.partitions)
        found = rounds(comparison, given.rounds)
        verified = comparison.verify()
    figures = _report(found, verified, given.mutated)
    save(given.json, figures)
    return 0 if verified.is_clean and median_ratio(found) >= LEAST_RATIO else 1


def _report(found: Sequence[Round], verified: Report, bad: int) -> dict[str, object]:
    """Print one table of medians; return all of it."""
    print(
        f"{verified.records:,} records, {bad:,} of them mutated, {verified.dead_letters:,} set "
        f"aside; verified: {'right' if verified.is_clean else verified.differences[:3]}"
    )
    print(f"{'':<10}{'records/s':>12}{'CPU µs/record':>16}")
    for name in ("clean", "mutated"):
        each: list[Measured] = [getattr(one, name) for one in found]
        rate = statistics.median(one.records_per_second for one in each)
        cpu = statistics.median(one.cpu_microseconds for one in each)
        print(f"{name:<10}{rate:>12,.0f}{cpu:>16.2f}")
    ratios = ", ".join(f"{one.ratio:.2f}" for one in found)
    print(f"ratio of the rates: {median_ratio(found):.2f} ({ratios}), at least {LEAST_RATIO}")
    return {
        "dead_letters": verified.dead_letters,
        "is_right": verified.is_clean,
        "rounds": [asdict(one) for one in found],
    }


if __name__ == "__main__":
    sys.exit(main())
