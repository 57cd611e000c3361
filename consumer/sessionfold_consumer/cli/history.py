"""``sessionfold history``: each record of a session, and what it did to the state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from sessionfold_schemas import Field, current

from ..answers import Step
from ..config import load
from . import _options
from ._events import given_fields, head, publisher, shortened, terminal_width, time_of
from ._output import human, json_event, json_fields, print_json_line


@click.command("history")
@click.argument("session_id")
@_options.as_json
@_options.broker_options
@_options.store
def command(
    session_id: str, as_json: bool, kafka_options: tuple[str, ...], **options: object
) -> None:
    """Show each event of a session in the order of the log, and the state after it.

    Reads the session's part of its partition, from the first to the last event that the store has;
    a service may run meanwhile. Dead letters of the session stand in their places, with what became
    of them. With --json each line is an object with the event and the whole state after it; for
    people, a line for each field that was given.
    """
    settings = load(options, kafka_options)
    from ._log_access import opened_history
    from ._logging import show_info

    show_info()
    with opened_history(settings, session_id) as opened:
        width = terminal_width()
        for step in opened.history:
            opened.progress.clear()
            if as_json:
                print_json_line(_json_step(step))
            else:
                click.echo("\n".join(_lines(step, width)))


def _json_step(step: Step) -> dict[str, Any]:
    return {
        "partition": step.record.partition,
        "offset": step.record.offset,
        "timestamp": time_of(step.record),
        "fate": step.fate,
        "reason": step.reason,
        "event": json_event(step.event) if step.is_event else None,
        "state": None if step.after is None else json_fields(step.after),
    }


def _lines(step: Step, width: int | None = None) -> Iterator[str]:
    yield head(step.record, _fate(step))
    for field in given_fields(step.event):
        shown = human(field.name, step.event[field.name])
        yield shortened(f"    {field.name:<21} {shown}{_aside(step, field)}", width)


def _fate(step: Step) -> str:
    if step.is_event:
        retried = " (retried)" if step.fate == "retried" else ""
        return f"{publisher(step.event)}{retried}"
    return f"{step.fate.replace('_', ' ')} ({step.reason})"


def _aside(step: Step, field: Field) -> str:
    """Say what a given value did to the state, where that is not plain."""
    name, before, after = field.name, step.before, step.after
    if field not in current().state_fields or before is None or after is None:
        return ""
    old = before[name]
    if after[f"{name}_offset"] != step.record.offset:
        return f"  (stays {human(name, old)})"
    if old is None:
        return ""
    return "  (as before)" if old == after[name] else f"  (was {human(name, old)})"
