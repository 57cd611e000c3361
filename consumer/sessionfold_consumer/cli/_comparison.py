"""How two states of the same sessions look side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ._difference import printable_pair
from ._output import printable
from ._spool_table import counted

if TYPE_CHECKING:
    from ..rebuild import Change, Comparison


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """What the two sides are called in a sentence."""

    second: str
    only_first: str
    only_second: str


BY_THE_LOG = Words(
    second="by the log it is",
    only_first="only the live state has it",
    only_second="the live state does not have it",
)


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
    yield from change_lines(found)
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


def change_lines(found: Comparison, words: Words = BY_THE_LOG) -> Iterator[str]:
    """Yield the changes that were kept, and how many sessions there are beyond them."""
    for change in found.changes:
        yield f"  {change_line(change, words)}"
    rest = found.sessions - len({(each.session_id, each.partition) for each in found.changes})
    if rest:
        yield f"  and {counted(rest, 'more session')}; show them with --limit"


def change_line(change: Change, words: Words = BY_THE_LOG) -> str:
    """Return what changes in a session, as people read it."""
    place = f"session {printable(change.session_id)} in partition {change.partition}"
    if change.field is None:
        return f"{place}: {words.only_first if change.live else words.only_second}"
    live, rebuilt = printable_pair(change.live, change.rebuilt)
    return f"{place}: {printable(change.field)} is {live}, {words.second} {rebuilt}"
