"""``sessionfold explain``: where each field of a session's state comes from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from ..answers import (
    MOMENT,
    Disagreement,
    Explained,
    Explanation,
    Origin,
    Part,
    Replaced,
    explain,
    explained_fields,
)
from ..config import load
from ..errors import NotFoundError, StoreDiffersError
from . import _options
from ._events import place_of, shortened, terminal_width, time_of
from ._output import human, json_value, print_json, printable

_INDENT = "    "


@click.command("explain")
@click.argument("session_id")
@click.argument("field", required=False)
@_options.as_json
@_options.broker_options
@_options.store
def command(
    session_id: str,
    field: str | None,
    as_json: bool,
    kafka_options: tuple[str, ...],
    **options: object,
) -> None:
    """Say of each field of a session which record set it, when, by whom, and what it replaced.

    FIELD is the name of one; without it all are explained. The values are the store's, the evidence
    is the log's: the session's part of its partition is read, up to the last event that the store
    has. A service may run meanwhile. Ends with 20 when store and log disagree.
    """
    settings = load(options, kafka_options)
    if field is not None and field not in explained_fields():
        names = ", ".join(explained_fields())
        raise NotFoundError("field", printable(field), f"a session's state; it has: {names}")
    from ._log_access import opened_history
    from ._logging import show_info
    from ._sessions import newest

    show_info()
    with opened_history(settings, session_id) as opened:
        state = newest(opened.stored.states, session_id, settings.store)
        explained = explain(
            state,
            opened.history,
            opened.history.missing,
            None if field is None else [field],
        )
    if as_json:
        print_json(_json(session_id, explained))
    else:
        click.echo("\n".join(_lines(explained, terminal_width())))
    if explained.disagreements:
        raise StoreDiffersError(explained.disagreements)


def _lines(explained: Explained, width: int | None = None) -> Iterator[str]:
    for each in explained.explanations:
        yield shortened(f"{each.field:<21} {human(each.field, each.value)}", width)
        for line in _evidence(each, width):
            yield f"{_INDENT}{line}"
    if explained.set_aside:
        yield f"set aside: {explained.set_aside} (in no field; see: sessionfold dead-letters list)"


def _evidence(each: Explanation, width: int | None) -> Iterator[str]:
    if each.parts is not None:
        yield from map(_part, each.parts)
    elif each.set_by is None:
        yield "never given"
    else:
        yield from _origin(each.set_by)
    if each.replaced is not None:
        room = None if width is None else width - len(_INDENT)
        yield shortened(f"replaced {human(each.field, each.replaced.value)}", room)
        for line in _origin(each.replaced.set_by):
            yield f"{_INDENT}{line}"
    if each.disagreement is not None:
        yield _disagreement(each.field, each.disagreement)


def _origin(origin: Origin) -> Iterator[str]:
    if not origin.is_known:
        yield f"set by {place_of(origin)}, of which the log says nothing"
        return
    occurred = human(MOMENT, origin.occurred_at)
    yield f"set by {place_of(origin)} at {time_of(origin)}, occurred {occurred}"
    yield f"by {printable(str(origin.producer_id))} #{origin.sequence}"


def _part(part: Part) -> str:
    first, last = place_of(part.first), place_of(part.last)
    where = first if first == last else f"from {first} to {last}"
    return f"{part.amount} of {printable(part.producer_id)}, {where}"


def _disagreement(field: str, found: Disagreement) -> str:
    by = "" if found.offset is None else f", set by offset {found.offset}"
    return (
        f"the log disagrees: by it this is {human(field, found.value)}{by}; see all that differs "
        "with: sessionfold verify"
    )


def _json(session_id: str, explained: Explained) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "partition": explained.state["partition"],
        "fields": {each.field: _json_field(each) for each in explained.explanations},
        "missing": [
            {"partition": each.partition, "first": each.first, "last": each.end - 1}
            for each in explained.missing
        ],
        "set_aside": explained.set_aside,
        "disagreements": explained.disagreements,
    }


def _json_field(each: Explanation) -> dict[str, Any]:
    shown: dict[str, Any] = {"value": json_value(each.field, each.value)}
    if each.parts is not None:
        shown["parts"] = [_json_part(part) for part in each.parts]
    else:
        shown["set_by"] = None if each.set_by is None else _json_origin(each.set_by)
        shown["replaced"] = None if each.replaced is None else _json_old(each.field, each.replaced)
        shown["times_given"] = each.times_given
    found = each.disagreement
    if found is not None:
        value = json_value(each.field, found.value)
        shown["disagreement"] = {"value": value, "offset": found.offset}
    return shown


def _json_old(field: str, old: Replaced) -> dict[str, Any]:
    return {"value": json_value(field, old.value), "set_by": _json_origin(old.set_by)}


def _json_part(part: Part) -> dict[str, Any]:
    return {
        "producer_id": part.producer_id,
        "amount": part.amount,
        "first": _json_origin(part.first),
        "last": _json_origin(part.last),
    }


def _json_origin(origin: Origin) -> dict[str, Any]:
    return {
        "partition": origin.partition,
        "offset": origin.offset,
        "timestamp": time_of(origin),
        "occurred_at": json_value(MOMENT, origin.occurred_at),
        "producer_id": origin.producer_id,
        "sequence": origin.sequence,
    }
