"""The judge of process ends sees each fault that it is there for."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sessionfold_schemas import encode
from tests.e2e.ends import counts
from tests.e2e.ends.counts import Counts
from tests.e2e.ends.kinds import KINDS, Kind
from tests.e2e.ends.states import STATES
from tests.e2e.ends.verdict import Outcome, problems
from tests.services.topics import StoredRecord

EMPTY, FULL, _ = STATES
CALLS = 100
IN_MEMORY = 40


def test_a_good_cell_has_no_problem() -> None:
    """All calls are in the log once, and the session was ended."""
    assert problems(good("normal")) == []


def test_a_killed_process_may_lose_what_only_its_memory_had() -> None:
    """Its session stays open: that is the truth."""
    assert problems(killed()) == []


@pytest.mark.parametrize(
    ("fault", "problem"),
    [
        (lambda cell: replace(cell, after=log(set(range(1, CALLS)))), "1 of 100 calls are lost"),
        (lambda cell: replace(cell, after=log(set(range(CALLS)), again={7})), "more than once"),
        (lambda cell: replace(cell, after=log(set(range(CALLS)), ended=0)), "was ended 0 times"),
        (lambda cell: replace(cell, after=log(set(range(CALLS)), ended=2)), "was ended 2 times"),
        (lambda cell: replace(cell, exit_code=1), "its exit code is 1, not 0"),
        (lambda cell: replace(cell, exit_code=None), "its exit code is None"),
        (lambda cell: replace(cell, printed="hello"), "it printed 'hello'"),
        (lambda cell: replace(cell, stderr="%3|1.1|FAIL|rdkafka"), "on stderr is"),
        (lambda cell: replace(cell, left_behind=True), "a process stayed behind"),
        (lambda cell: replace(cell, left_on_disk=("a.spool",)), "the spool still has a.spool"),
        (lambda cell: replace(cell, books=books(in_flight=41)), "the books do not balance"),
        (lambda cell: replace(cell, books=books(accepted=101, coalesced=1)), "dropped or joined"),
    ],
)
def test_a_fault_is_seen(fault: Callable[[Outcome], Outcome], problem: str) -> None:
    """Each by itself, in a cell that is good otherwise."""
    (found,) = problems(fault(good("normal")))
    assert problem in found


def test_a_killed_process_must_not_lose_what_was_delivered_or_spooled() -> None:
    """One call more than its memory alone had."""
    cell = killed()
    rest = set(cell.after.numbers)
    for number in (0, CALLS - 1):
        found = problems(replace(cell, after=log(rest - {number}, ended=0)))
        assert "parent: 41 of 100 calls are lost; at most 40 may be" in found


def test_more_lost_calls_than_the_books_had_in_memory_are_seen() -> None:
    """Even when neither log nor spool ever had them."""
    (found,) = problems(replace(killed(), books=books(in_flight=39, delivered=42)))
    assert "more calls are lost than were in memory" in found


def test_what_was_delivered_is_not_lost_by_any_end() -> None:
    """With an empty queue there is nothing in memory."""
    found = problems(replace(killed(), state=EMPTY))
    assert "parent: 40 calls are lost that were delivered" in found


@pytest.mark.parametrize(
    ("numbers", "is_good"),
    [
        ([0, 8, 16], True),
        ([0, 8, 16, 8, 16], True),
        ([0, 16, 8], False),
        ([0, 8, 16, 8], False),
        ([8, 0, 8], False),
    ],
)
def test_an_old_call_behind_a_newer_one_is_seen(numbers: list[int], is_good: bool) -> None:
    """Unless everything behind the old one is repeated, too."""
    (cell,) = counts.of_log([record(place, number) for place, number in enumerate(numbers)]).items()
    assert cell[0] == "normal"
    assert cell[1].numbers == Counter(numbers)
    assert (cell[1].out_of_order == []) == is_good


def test_an_end_that_is_sent_again_is_one_end() -> None:
    """It is known by its producer and its number; another one is another end."""
    end = {"is_finished": True}
    same = counts.of_log([record(0, 0), record(1, 8, **end), record(1, 8, **end)])
    assert same["normal"].ended == {"normal/parent/0": 1}
    other = counts.of_log([record(0, 0), record(1, 8, **end), record(2, 16, **end)])
    assert other["normal"].ended == {"normal/parent/0": 2}


def test_calls_may_be_sent_again_when_the_exit_timeout_had_passed() -> None:
    """The broker had not acknowledged them, and so they went over the disk."""
    repeated = replace(good("normal"), after=log(set(range(CALLS)), again={7}))
    assert problems(repeated) != []
    assert problems(replace(repeated, seconds=FULL.exit_timeout_seconds)) == []


def good(name: str) -> Outcome:
    """Return a cell of the full state in which nothing went wrong."""
    kind = kind_of(name)
    return Outcome(
        kind=kind,
        state=FULL,
        exit_code=kind.exit_code,
        printed="",
        stderr="",
        seconds=0.1,
        left_behind=False,
        returned={"parent": CALLS},
        books=books(),
        before=log(set(range(CALLS))),
        kept=set(),
        after=log(set(range(CALLS))),
        left_on_disk=(),
    )


def killed() -> Outcome:
    """Return a cell of SIGKILL: 40 calls delivered, 40 in memory, 20 in the spool."""
    delivered, kept = set(range(40)), set(range(80, CALLS))
    return replace(
        good("sigkill"),
        exit_code=-signal.SIGKILL,
        before=log(delivered, ended=0),
        kept=kept,
        after=log(delivered | kept, ended=0),
    )


def log(numbers: set[int], *, again: set[int] = frozenset(), ended: int = 1) -> Counts:  # type: ignore[assignment]
    """Return what a log of these calls comes to."""
    ends = Counter({f"{name}/parent/0": ended for name in ("normal", "sigkill")})
    return Counts(numbers=Counter(numbers) + Counter(again), ended=ends)


def books(**changed: int) -> dict[str, dict[str, Any]]:
    """Return accounts that balance, but for what is changed: 100 calls and one begun session."""
    kept = {"accepted": 101, "delivered": 41, "spooled": 20, "in_flight": IN_MEMORY}
    return {"parent": kept | {"dropped": 0, "coalesced": 0} | changed}


def kind_of(name: str) -> Kind:
    """Return the kind of this name."""
    (found,) = (kind for kind in KINDS if kind.name == name)
    return found


def record(place: int, number: int, **more: bool) -> StoredRecord:
    """Return a record with one numbered call, and further fields."""
    session_id = "normal/parent/0"
    event = {
        "session_id": session_id,
        "occurred_at": 1,
        "producer_id": "p",
        "sequence": place,
        "lost_before": 0,
        "session_eval": float(number),
        **more,
    }
    return StoredRecord(
        partition=0, offset=place, timestamp_ms=0, key=session_id.encode(), value=encode(event)
    )
