"""How an audit looks: as JSON for programs, as a table for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from sessionfold_schemas import current

from ..answers.audit import Audit, Finding
from ..source import Span
from ..state import State
from ._events import milliseconds_iso
from ._output import age, iso, printable
from ._spool_table import counted
from ._table import console

if TYPE_CHECKING:
    from ..answers.numbers import MissingNumbers

_HEADERS = ("PRODUCER", "EVENTS", "MISSING", "LOST", "REPEATED", "REORDERED", "NUMBERS MISSING")
_SHOWN_GAPS = 5


def print_report(
    audit: Audit, spans: Mapping[int, Span], sessions: Sequence[State] | None, now: int
) -> None:
    """Print what was found; ``now`` in microseconds since the epoch."""
    words = (counted(audit.records, "record"), counted(len(spans), "partition"))
    click.echo(f"{', '.join(words)}, {counted(audit.producers, 'producer')}: {_sum(audit)}")
    if audit.findings:
        screen = console()
        screen.print(_table(audit.findings))
    if audit.undecided:
        click.echo(
            f"{counted(audit.undecided, 'number')} more may still be on the way (see --grace)"
        )
    if audit.refused:
        click.echo(
            f"{counted(audit.refused, 'record')} without a number, being no valid event; see: "
            "sessionfold dead-letters list"
        )
    if sessions is not None:
        click.echo(f"{counted(len(sessions), 'session')} open for too long")
    for state in sessions or ():
        click.echo(f"  {_session_line(state, now)}")


def json_report(
    audit: Audit, spans: Mapping[int, Span], sessions: Sequence[State] | None
) -> dict[str, Any]:
    """Return the same as JSON values; ``open_sessions`` is null when they were not asked for."""
    return {
        "records": audit.records,
        "producers": audit.producers,
        "missing": audit.missing,
        "lost": audit.lost,
        "undecided": audit.undecided,
        "refused": audit.refused,
        "read": [
            {"partition": partition, "first_offset": span.begin, "next_offset": span.end}
            for partition, span in spans.items()
        ],
        "findings": [_json_finding(each) for each in audit.findings],
        "open_sessions": None if sessions is None else [_json_session(each) for each in sessions],
    }


def _sum(audit: Audit) -> str:
    if not (audit.missing or audit.lost):
        return "nothing is missing"
    return f"{counted(audit.missing, 'event')} missing, {counted(audit.lost, 'update')} lost"


def _table(findings: Sequence[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", expand=False)
    for header in _HEADERS:
        is_text = header in (_HEADERS[0], _HEADERS[-1])
        table.add_column(header, justify="left" if is_text else "right")
    for each in findings:
        counts = (each.events, each.missing, each.lost, each.repeated, each.reordered)
        table.add_row(
            printable(each.producer_id), *(f"{count:,}" for count in counts), _ranges(each.gaps)
        )
    return table


def _ranges(gaps: Sequence[MissingNumbers]) -> str:
    shown = [
        str(gap.first) if gap.size == 1 else f"{gap.first}-{gap.last}"
        for gap in islice(gaps, _SHOWN_GAPS)
    ]
    rest = len(gaps) - len(shown)
    return ", ".join(shown) + (f" and {rest:,} more" if rest else "")


def _session_line(state: State, now: int) -> str:
    began, last = state["first_occurred_at"], state["last_occurred_at"]
    name = printable(state[current().key.name])
    return f"{name}  began {age(began, now)} ago, last heard of {age(last, now)} ago"


def _json_finding(each: Finding) -> dict[str, Any]:
    return {
        "producer_id": each.producer_id,
        "events": each.events,
        "missing": each.missing,
        "gaps": [
            {"first": gap.first, "last": gap.last, "noticed": milliseconds_iso(gap.noticed)}
            for gap in each.gaps
        ],
        "lost": each.lost,
        "repeated": each.repeated,
        "reordered": each.reordered,
    }


def _json_session(state: State) -> dict[str, Any]:
    return {
        "session_id": state[current().key.name],
        "partition": state["partition"],
        "first_occurred_at": iso(state["first_occurred_at"]),
        "last_occurred_at": iso(state["last_occurred_at"]),
        "event_count": state["event_count"],
    }
