"""What the rounds say: a table for each scenario, and whether the goals are met."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.sdk_growth import SETTLED_STAGE, Growth
from benchmarks.sdk_scenarios import DOWN, FULL, SINGLE, STEADY_THREADS, THREADS, Scenario
from benchmarks.sdk_sides import PRODUCE, SDK, SDK_FULL
from benchmarks.sdk_timing import Distribution
from benchmarks.sdk_turns import Outcome

Round = Mapping[str, Outcome]
"""What each side took in one round of a scenario."""

Rounds = Mapping[str, Sequence[Round]]
"""The rounds of each scenario."""

Figure = Callable[[Outcome], float]

MEDIAN_RATIO = 4.0
"""Of one thread without pauses, to a bare ``produce()``."""
THREADS_RATIO = 3.0
"""Of the 99.9th percentile of several threads, to a bare ``produce()``."""
DOWN_RATIO = 1.5
"""Of the median without a broker, to that with one: the same, and room for the machine's mood."""
LONGEST_MILLISECONDS = 100.0
"""Without a broker, for any call: what ``block_seconds`` is by default, and nothing waits here."""
RESIDENT, TRACED = "resident", "allocated by Python"
MOST_GROWTH_KIBIBYTES = {RESIDENT: 4_096.0, TRACED: 64.0}
"""The allocators of Python and the Kafka client keep some of their pages for later."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Goal:
    """A figure and what it may be at most."""

    name: str
    figure: float
    at_most: float

    @property
    def is_met(self) -> bool:
        """Whether the figure is within its bound."""
        return self.figure <= self.at_most

    def __str__(self) -> str:
        """Return one line of the report."""
        verdict = "met" if self.is_met else "MISSED"
        return f"{self.name:<62}{self.figure:>9.2f}, at most {self.at_most:>8,.2f}: {verdict}"


def print_scenario(scenario: Scenario, rounds: Sequence[Round]) -> None:
    """Print one table: the medians of the rounds, and of their ratios to ``produce``."""
    print(f"\n{scenario.title}: {scenario.calls:,} calls a turn")
    columns = _TIMES if scenario.is_timed else _COSTS
    print(f"{'':<22}" + "".join(f"{column:>13}" for column in columns))
    for name in rounds[0]:
        figures = (column(rounds, name) for column in columns.values())
        cells = ("" if figure is None else f"{figure:,.2f}" for figure in figures)
        print(f"{name:<22}" + "".join(f"{cell:>13}" for cell in cells))
    if not scenario.is_up:
        _print_books(rounds[-1])


def _print_books(outcomes: Round) -> None:
    """Print what became of the updates that no broker took."""
    for name, outcome in outcomes.items():
        if outcome.sent.books:
            books = ", ".join(f"{number:,} {what}" for what, number in outcome.sent.books.items())
            print(f"  {name}, last round: {books}")


def print_growth(growth: Growth, what: str) -> None:
    """Print what is held after each stage; ``what`` says of which memory."""
    stages = "  ".join(f"{each / 1024:.2f}" for each in growth.kibibytes)
    print(f"\n{growth.calls:,} calls while sessions come and go, {what} after each stage, MiB:")
    print(f"  {stages}; {growth.grown_kibibytes:+.1f} KiB since stage {SETTLED_STAGE}")
    for file, kibibytes in growth.files.items():
        print(f"  {kibibytes:+9.2f} KiB in {file}")


def goals(rounds: Rounds, growth: Mapping[str, Growth]) -> list[Goal]:
    """Return the goals that what was measured is about."""
    calls = [
        Goal(name=name, figure=figure(rounds), at_most=at_most)
        for needed, name, figure, at_most in _GOALS
        if needed <= rounds.keys()
    ]
    memory = [
        Goal(
            name=f"{what}: growth, KiB",
            figure=grown.grown_kibibytes,
            at_most=MOST_GROWTH_KIBIBYTES[what],
        )
        for what, grown in growth.items()
    ]
    return calls + memory


def ratio(
    rounds: Sequence[Round], name: str, figure: Figure, by: Sequence[Outcome] | None = None
) -> float:
    """Return the median over the rounds of a side's figure by a yardstick's.

    Args:
        rounds: those of one scenario.
        name: the side.
        figure: which of its figures.
        by: the yardstick in each round; None is ``produce`` in the same one.
    """
    yardsticks = by or [each[PRODUCE] for each in rounds]
    pairs = zip(rounds, yardsticks, strict=True)
    return statistics.median(figure(each[name]) / figure(yardstick) for each, yardstick in pairs)


def _times(outcome: Outcome) -> Distribution:
    assert outcome.times is not None
    return outcome.times


def _median(outcome: Outcome) -> float:
    return _times(outcome).median


def _p99(outcome: Outcome) -> float:
    return _times(outcome).p99


def _p999(outcome: Outcome) -> float:
    return _times(outcome).p999


def _wall(outcome: Outcome) -> float:
    return outcome.wall_microseconds


def _cpu(outcome: Outcome) -> float:
    return outcome.cpu_microseconds


def _longest(rounds: Sequence[Round], name: str) -> float:
    """Return the longest call of all rounds."""
    return max(_times(each[name]).most for each in rounds)


def _down_by_up(rounds: Rounds) -> float:
    up = [each[SDK] for each in rounds[SINGLE]]
    return ratio(rounds[DOWN], SDK, _median, up)


_GOALS: Sequence[tuple[set[str], str, Callable[[Rounds], float], float]] = (
    (
        {SINGLE},
        "one thread: median, by produce's",
        lambda rounds: ratio(rounds[SINGLE], SDK, _median),
        MEDIAN_RATIO,
    ),
    (
        {THREADS},
        "threads: p99.9, by produce's",
        lambda rounds: ratio(rounds[THREADS], SDK, _p999),
        THREADS_RATIO,
    ),
    (
        {STEADY_THREADS},
        "threads, steady: p99.9, by produce's",
        lambda rounds: ratio(rounds[STEADY_THREADS], SDK, _p999),
        THREADS_RATIO,
    ),
    (
        {DOWN, SINGLE},
        "no broker: median, by that with one",
        _down_by_up,
        DOWN_RATIO,
    ),
    (
        {DOWN},
        "no broker: longest call, ms",
        lambda rounds: _longest(rounds[DOWN], SDK) / 1000,
        LONGEST_MILLISECONDS,
    ),
    (
        {FULL},
        "no broker and a full queue: longest call, ms",
        lambda rounds: _longest(rounds[FULL], SDK_FULL) / 1000,
        LONGEST_MILLISECONDS,
    ),
)
"""The scenarios that a goal needs, its name, its figure, and what that may be at most."""


Column = Callable[[Sequence[Round], str], float | None]


def _typical(figure: Figure) -> Column:
    return lambda rounds, name: statistics.median(figure(each[name]) for each in rounds)


def _by_produce(figure: Figure) -> Column:
    def column(rounds: Sequence[Round], name: str) -> float | None:
        return ratio(rounds, name, figure) if PRODUCE in rounds[0] else None

    return column


_TIMES: Mapping[str, Column] = {
    "median µs": _typical(_median),
    "p99 µs": _typical(_p99),
    "p99.9 µs": _typical(_p999),
    "longest µs": _longest,
    "median ratio": _by_produce(_median),
    "p99.9 ratio": _by_produce(_p999),
    "CPU µs/call": _typical(_cpu),
    "CPU ratio": _by_produce(_cpu),
}

_COSTS: Mapping[str, Column] = {
    "wall µs/call": _typical(_wall),
    "wall ratio": _by_produce(_wall),
    "CPU µs/call": _typical(_cpu),
    "CPU ratio": _by_produce(_cpu),
}
