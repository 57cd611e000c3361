"""How two states of the same sessions look side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ._difference import printable_pair
from ._output import printable
from ._spool_table import counted

if TYPE_CHECKING:
    from ..rebuild import Change, Comparison


def report(found: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON values."""
    return {
        "is_same": found.is_same,
        "sessions": found.sessions,
        "letters": asdict(found.letters),
        "changes": [asdict(each) for each in found.changes],
    }


def lines(found: Comparison) -> Iterator[str]:
    """Yield a comparison as people read it."""
    if found.is_same:
        yield "compared with the live state, session by session: the same"
        return
    letters = found.letters
    if found.sessions:
        yield f"{counted(found.sessions, 'session')} would change:"
    for change in found.changes:
        yield f"  {_line(change)}"
    rest = found.sessions - len({(each.session_id, each.partition) for each in found.changes})
    if rest:
        yield f"  and {counted(rest, 'more session')}; show them with --limit"
    if letters.first_restored:
        yield (
            f"{counted(letters.restored, 'dead letter')} would become events, the first at "
            "{}:{}".format(*letters.first_restored)
        )
    if letters.first_refused:
        yield (
            f"{counted(letters.refused, 'record')} would be set aside, the first at "
            "{}:{}".format(*letters.first_refused)
        )


def _line(change: Change) -> str:
    place = f"session {printable(change.session_id)} in partition {change.partition}"
    if change.field is None:
        return f"{place}: {'only live has it' if change.live else 'live does not have it'}"
    live, rebuilt = printable_pair(change.live, change.rebuilt)
    return f"{place}: {change.field} is {live}, by the log it is {rebuilt}"
