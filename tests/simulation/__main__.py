"""``python -m tests.simulation``: run many seeds, or one with its trace."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial

from .runs import ALL_FAULTS, SOMETIMES, Outcome, run_seeds, trace

_PORTION = 250
_FEW = 20_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line says; return 1 when a seed fails or something never happened."""
    options = _options(arguments)
    if options.seed is not None:
        lines = trace(options.seed, options.fault)
        sys.stdout.write("\n".join(lines if options.trace else lines[-1:]) + "\n")
        return int(lines[-1] != "clean")
    began = time.perf_counter()
    total = Outcome()
    for outcome in _outcomes(options):
        total.seeds += outcome.seeds
        total.happened += outcome.happened
        if outcome.failed is not None:
            return _report_failure(outcome, options.fault)
    seconds = time.perf_counter() - began
    return _report(total, seconds)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1_000, help="how many to run")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first one")
    parser.add_argument("--seed", type=int, help="run just this one")
    parser.add_argument("--trace", action="store_true", help="with --seed: print all that happens")
    parser.add_argument(
        "--fault", choices=sorted(ALL_FAULTS), help="plant this fault in the service"
    )
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    return parser.parse_args(arguments)


def _outcomes(options: argparse.Namespace) -> Iterator[Outcome]:
    last = options.first + options.seeds
    portions = [
        range(first, min(first + _PORTION, last)) for first in range(options.first, last, _PORTION)
    ]
    run = partial(run_seeds, fault=options.fault)
    if options.jobs == 1:
        yield from map(run, portions)
        return
    with ProcessPoolExecutor(options.jobs) as pool:
        yield from pool.map(run, portions)


def _report_failure(outcome: Outcome, fault: str | None) -> int:
    assert outcome.failed is not None
    planted = "" if fault is None else f" --fault {fault}"
    lines = trace(outcome.failed, fault)
    again = f"python -m tests.simulation --seed {outcome.failed} --trace{planted}"
    sys.stdout.write("\n".join([*lines, f"seed {outcome.failed} failed; again: {again}"]) + "\n")
    return 1


def _report(total: Outcome, seconds: float) -> int:
    for name in sorted({*SOMETIMES, *total.happened}):
        sys.stdout.write(f"{total.happened[name]:10,}  {name}\n")
    never = [name for name in SOMETIMES if not total.happened[name]]
    rate = 60 * total.seeds / seconds
    sys.stdout.write(f"{total.seeds:,} seeds clean in {seconds:.0f} s: {rate:,.0f} a minute\n")
    if never and total.seeds >= _FEW:
        sys.stdout.write(f"never happened: {', '.join(never)}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
