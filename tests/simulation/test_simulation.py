"""The simulator is clean without a fault, and finds each planted one by what it does to a store."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .__main__ import main
from .runs import ALL_FAULTS, SOMETIMES, run_seeds, trace

FOUND_BY = {
    "position_off_by_one": {"position", "state", "dead_letter"},
    "positions_apart": {"state", "dead_letter"},
    "no_fence": {"fence", "position", "state", "dead_letter"},
    "first_and_last_swapped": {"state"},
    "batch_dropped_on_rebalance": {"state", "dead_letter"},
    "neighbour_spoiled": {"state", "dead_letter"},
    "switch_without_fence": {"fence"},
}
"""For each fault the kinds of difference that it makes: not that a run merely gets stuck."""

SEEDS_FOR_A_FAULT = 1_000
FEW_SEEDS = 500
MANY_SEEDS = 100_000


def test_few_seeds_are_clean() -> None:
    """After every step of every process the store is the fold of a prefix of its log."""
    outcome = run_seeds(range(FEW_SEEDS))
    assert (outcome.failed, str(outcome.error or "")) == (None, "")
    assert outcome.seeds == FEW_SEEDS
    assert outcome.happened["zombie refused"]
    assert outcome.happened["frozen with a lost answer"]


@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_a_planted_fault_is_found(fault: str) -> None:
    """Within a thousand seeds, by the oracle that it should be found by."""
    outcome = run_seeds(range(SEEDS_FOR_A_FAULT), fault)
    assert outcome.error is not None
    assert outcome.error.kind in FOUND_BY[fault]


@pytest.mark.parametrize("fault", ALL_FAULTS)
def test_the_seed_that_finds_a_fault_is_clean_without_it(fault: str) -> None:
    """So it is the fault that was found."""
    found = run_seeds(range(SEEDS_FOR_A_FAULT), fault).failed
    assert found is not None
    assert run_seeds([found]).error is None


@pytest.mark.parametrize("fault", [None, "no_fence"])
def test_a_seed_replays(fault: str | None) -> None:
    """The same events at the same times, and the same end, in this process and in others."""
    seed = 7 if fault is None else run_seeds(range(SEEDS_FOR_A_FAULT), fault).failed
    assert seed is not None
    here = trace(seed, fault)
    assert len(here) > 10
    assert trace(seed, fault) == here
    assert (here[-1] == "clean") == (fault is None)
    assert _elsewhere(seed, fault, hash_seed="1") == _elsewhere(seed, fault, hash_seed="2") == here


def test_a_failing_seed_is_printed_with_its_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever reads the output can run it again, and sees what was found."""
    assert main(["--seeds", "20", "--fault", "first_and_last_swapped"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "failed; again: python -m tests.simulation --seed" in lines[-1]
    assert lines[-2].startswith("state: ")


def test_a_clean_run_says_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    """Counts of what shall sometimes happen, and the rate."""
    assert main(["--seeds", "20"]) == 0
    output = capsys.readouterr().out
    assert "20 seeds clean in " in output
    assert all(name in output for name in SOMETIMES)


@pytest.mark.soak
def test_many_seeds_are_clean() -> None:
    """And everything that shall sometimes happen has happened."""
    outcome = run_seeds(range(MANY_SEEDS))
    assert (outcome.failed, str(outcome.error or "")) == (None, "")
    assert [name for name in SOMETIMES if not outcome.happened[name]] == []


def _elsewhere(seed: int, fault: str | None, hash_seed: str) -> list[str]:
    """Run a seed in another process, whose strings hash otherwise."""
    command = [sys.executable, "-m", "tests.simulation", "--seed", str(seed), "--trace"]
    command += [] if fault is None else ["--fault", fault]
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    done = subprocess.run(  # noqa: PLW1510 - a seed that fails is expected, too
        command, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    return done.stdout.splitlines()
