"""What another contract would make of the log, as people and programs read it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..config import Settings
from ._comparison import Words, change_line
from ._output import print_json, printable
from ._progress import progress_reporter
from ._spool_table import counted

if TYPE_CHECKING:
    from ..rebuild.what_if import Outlook

_WORDS = Words(
    second="by the other contract it is",
    only_first="by the other contract there is none",
    only_second="only by the other contract there is one",
)


def show_what_if(settings: Settings, schema: Path, limit: int, *, as_json: bool) -> None:
    """Fold by another contract, beside the live state, and show what would differ."""
    from ..bootstrap import what_if

    found = what_if(settings, schema.read_text("utf-8"), limit, progress_reporter)
    if as_json:
        print_json(_report(found))
        return
    for line in _lines(found):
        click.echo(line)


def _report(found: Outlook) -> dict[str, Any]:
    return {
        "sessions": found.sessions,
        "compared": found.compared,
        "refused": found.refused,
        "fields": dict(found.fields),
        "changes": [asdict(each) for each in found.changes],
    }


def _lines(found: Outlook) -> Iterator[str]:
    yield f"{counted(found.compared, 'session')} compared: {found.sessions:,} would differ"
    for name, count in found.fields.most_common():
        yield f"  {printable(name)}: in {counted(count, 'session')}"
    for change in found.changes:
        yield f"  {change_line(change, _WORDS)}"
    if found.refused:
        more = "more" if found.refused > 0 else "fewer"
        yield f"{counted(abs(found.refused), 'record')} {more} would be set aside"
