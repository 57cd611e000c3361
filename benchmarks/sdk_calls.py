"""What a call of ``update_session`` costs, beside a bare ``Producer.produce`` and its peers.

``python -m benchmarks.sdk_calls`` starts a real broker and lets the sides report the same three
values in turns, each turn in a process of its own: the SDK; a bare producer with the SDK's client
settings and a thread that polls, with and without a delivery callback for each record; and the
clients of other services (``make peers`` installs them), which send to a process beside. Single
calls are timed on the thread that makes them, and nothing is subtracted; processor time is that of
the whole process until everything is delivered. What has arrived is counted where it arrives.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.figures import save
from benchmarks.peers.clients import PEERS, installed
from benchmarks.sdk_bench import Bench, started
from benchmarks.sdk_growth import Growth
from benchmarks.sdk_report import RESIDENT, TRACED, Goal, Round, goals, print_growth, print_scenario
from benchmarks.sdk_scenarios import Scenario, scenarios
from tests.services.kafka import kafka_available

GROWTH = "growth"

_TRACED_SHARE = 5
"""Under ``tracemalloc`` everything is several times slower."""


def main() -> int:
    """Run the benchmark; return 0 when every goal is met, 1 when not."""
    given = _arguments()
    missing = kafka_available()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    versions = _peers()
    chosen = [each.with_peers(set(versions)) for each in scenarios(given.calls)]
    chosen = [each for each in chosen if not given.only or each.name in given.only]
    with started() as bench:
        rounds = _rounds(bench, chosen, given.rounds)
        growth = _growth(bench, given.growth_calls) if GROWTH in (given.only or [GROWTH]) else {}
    for scenario in chosen:
        print_scenario(scenario, rounds[scenario.name])
    for what, grown in growth.items():
        print_growth(grown, what)
    reached = goals(rounds, growth)
    print("\n" + "\n".join(map(str, reached)))
    figures = _figures(rounds, growth, reached) | {"calls": given.calls, "peers": versions}
    save(given.json, figures)
    return 0 if all(goal.is_met for goal in reached) else 1


def _arguments() -> argparse.Namespace:
    names = [*(each.name for each in scenarios(1)), GROWTH]
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sdk_calls", description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000, help="of a turn without pauses")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--growth-calls", type=int, default=2_000_000)
    parser.add_argument("--only", nargs="+", choices=names, help="a part of it")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    return parser.parse_args()


def _peers() -> dict[str, str]:
    """Return the versions of the peers that are there, and say which are not."""
    versions = installed()
    missing = [peer.PACKAGE for peer in PEERS if peer.NAME not in versions]
    if versions:
        print("peers: " + ", ".join(versions.values()))
    if missing:
        print(f"not installed, so not measured: {', '.join(missing)} (make peers installs them)")
    return versions


def _rounds(bench: Bench, chosen: Sequence[Scenario], count: int) -> dict[str, list[Round]]:
    """Let all sides of all scenarios take their turns, ``count`` times."""
    rounds: dict[str, list[Round]] = {scenario.name: [] for scenario in chosen}
    for number in range(count):
        print(f"round {number + 1} of {count}", file=sys.stderr)
        for scenario in chosen:
            measured = {side: bench.measure(scenario, side) for side in scenario.sides}
            rounds[scenario.name].append(measured)
    return rounds


def _growth(bench: Bench, calls: int) -> dict[str, Growth]:
    print("memory", file=sys.stderr)
    return {
        RESIDENT: bench.live(calls, is_traced=False),
        TRACED: bench.live(calls // _TRACED_SHARE, is_traced=True),
    }


def _figures(
    rounds: Mapping[str, Sequence[Round]], growth: Mapping[str, Growth], reached: Sequence[Goal]
) -> dict[str, object]:
    return {
        "goals": [asdict(goal) for goal in reached],
        "rounds": {
            name: [{side: asdict(outcome) for side, outcome in each.items()} for each in measured]
            for name, measured in rounds.items()
        },
        "growth": {what: asdict(grown) for what, grown in growth.items()},
    }


if __name__ == "__main__":
    sys.exit(main())
