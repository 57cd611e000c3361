"""Is a cell as it shall be?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.e2e.ends.counts import Counts
from tests.e2e.ends.kinds import Kind
from tests.e2e.ends.states import State
from tests.e2e.ends.work import NUMBERS_EACH, ROLES

_OURS = re.compile(r"^%\d\||sessionfold/_\w+\.py", re.MULTILINE)
"""The client's own log lines, and tracebacks of the SDK."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What one cell has come to."""

    kind: Kind
    state: State
    exit_code: int | None
    """None when it did not end in time."""
    printed: str
    stderr: str
    seconds: float
    """From the order to end until it was gone."""
    left_behind: bool
    """Whether a process of the cell was still there."""
    returned: dict[str, int]
    """Calls that returned, by role."""
    books: dict[str, dict[str, Any]]
    """The SDK's accounts before the end, by role."""
    before: Counts
    """The log when all were gone."""
    kept: set[int]
    """The calls that the spool had then."""
    after: Counts
    """The log when the spool had been sent."""
    left_on_disk: tuple[str, ...]
    """Files with events that were still in the spool directory then."""

    def calls(self, role: str) -> set[int]:
        """Return the numbers of a role's calls that returned."""
        first = ROLES.index(role) * NUMBERS_EACH
        return set(range(first, first + self.returned[role]))

    def lost(self, role: str) -> set[int]:
        """Return the numbers of those that are not in the log in the end."""
        return self.calls(role) - self.after.numbers.keys()


def problems(cell: Outcome) -> list[str]:
    """Return what is not as it shall be, a clause each."""
    each = [*_of_process(cell), *_of_log(cell)]
    for role in cell.kind.roles:
        each += [f"{role}: {problem}" for problem in _of_role(cell, role)]
    return each


def may_lose(cell: Outcome, role: str) -> int:
    """Return how many calls of a role may be lost: those that only its memory had."""
    if role not in cell.kind.may_lose:
        return 0
    return len(cell.calls(role) - cell.before.numbers.keys() - cell.kept)


def _of_process(cell: Outcome) -> Iterator[str]:
    kind = cell.kind
    if cell.exit_code != kind.exit_code:
        yield f"its exit code is {cell.exit_code}, not {kind.exit_code}"
    if not re.fullmatch(kind.printed, cell.printed, re.DOTALL):
        yield f"it printed {cell.printed!r}"
    if not re.fullmatch(kind.stderr, cell.stderr, re.DOTALL) or _OURS.search(cell.stderr):
        yield f"on stderr is {cell.stderr!r}"
    if cell.left_behind:
        yield "a process stayed behind"
    if cell.left_on_disk:
        yield f"the spool still has {', '.join(cell.left_on_disk)}"


def _of_log(cell: Outcome) -> Iterator[str]:
    log = cell.after
    twice = {number for number, times in log.numbers.items() if times > 1} - cell.kept
    if twice and cell.seconds < cell.state.exit_timeout_seconds:
        # Later, what the broker had not acknowledged in time was spooled, and may be sent again.
        yield f"{len(twice)} calls are in the log more than once, and were not spooled"
    if log.out_of_order:
        yield f"out of order: {log.out_of_order}"
    if log.opinions:
        yield "an opinion on success that nobody gave"


def _of_role(cell: Outcome, role: str) -> Iterator[str]:
    books = cell.books.get(role)
    if books is not None:
        yield from _of_books(cell, role, books)
    lost, most = cell.lost(role), may_lose(cell, role)
    if len(lost) > most:
        yield f"{len(lost)} of {cell.returned[role]} calls are lost; at most {most} may be"
    if cell.state.flushes and lost:
        yield f"{len(lost)} calls are lost that were delivered"
    ended = cell.after.ended[f"{cell.kind.name}/{role}/0"]
    stays_open = role in cell.kind.may_lose | cell.kind.leaves_open
    if ended != (not stays_open):
        yield f"its session was ended {ended} times"


def _of_books(cell: Outcome, role: str, books: dict[str, Any]) -> Iterator[str]:
    parts = ("delivered", "spooled", "dropped", "in_flight")
    if books["accepted"] != sum(books[part] for part in parts):
        yield f"the books do not balance: {books}"
    if books["dropped"] or books.get("coalesced"):
        yield f"updates were dropped or joined: {books}"
    if len(cell.lost(role)) > books["in_flight"] and not cell.state.flushes:
        yield f"more calls are lost than were in memory: {books}"
