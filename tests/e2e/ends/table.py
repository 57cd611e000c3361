"""The table of process ends, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tests.e2e.ends.kinds import KINDS, Kind
from tests.e2e.ends.states import STATES, State
from tests.e2e.ends.verdict import Outcome, may_lose, problems

_NOT_RUN = "·"


def markdown(outcomes: Iterable[Outcome]) -> str:
    """Return the table: lost calls of all that returned, a row for each kind, a column a state."""
    found = {(each.kind.name, each.state.name): each for each in outcomes}
    states = [state for state in STATES if any(name == state.name for _, name in found)]
    head = ["how the process ends", *(state.title for state in states)]
    rows = [
        [kind.title, *(_cell(found, kind, state) for state in states)]
        for kind in KINDS
        if any(name == kind.name for name, _ in found)
    ]
    return "\n".join(_line(row) for row in [head, ["---"] * len(head), *rows]) + "\n"


def objects(outcomes: Iterable[Outcome]) -> list[dict[str, Any]]:
    """Return a JSON object for each cell."""
    return [_object(outcome) for outcome in outcomes]


def _cell(found: dict[tuple[str, str], Outcome], kind: Kind, state: State) -> str:
    outcome = found.get((kind.name, state.name))
    if outcome is None:
        return _NOT_RUN
    lost = sum(len(outcome.lost(role)) for role in kind.roles)
    most = sum(may_lose(outcome, role) for role in kind.roles)
    text = f"{lost:,} of {sum(outcome.returned.values()):,}"
    if most:
        text += f" (at most {most:,})"
    if outcome.kept:
        text += f", {len(outcome.kept):,} by the spool"
    return f"**{text}: wrong**" if problems(outcome) else text


def _object(outcome: Outcome) -> dict[str, Any]:
    kind = outcome.kind
    return {
        "kind": kind.name,
        "state": outcome.state.name,
        "exit_code": outcome.exit_code,
        "seconds": round(outcome.seconds, 2),
        "accepted": outcome.returned,
        "delivered_before": len(outcome.before.numbers),
        "kept_by_the_spool": len(outcome.kept),
        "lost": {role: len(outcome.lost(role)) for role in kind.roles},
        "may_lose": {role: may_lose(outcome, role) for role in kind.roles},
        "repeated": outcome.after.numbers.total() - len(outcome.after.numbers),
        "problems": problems(outcome),
    }


def _line(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"
