"""``sessionfold diff``: the sessions in which two states differ."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..config import Settings, load
from ..errors import StoreDiffersError
from ..store import SessionStore, open_store
from . import _options
from ._comparison import Words, change_lines
from ._excerpts import fold_into
from ._logging import show_info
from ._output import print_json
from ._spool_table import counted

if TYPE_CHECKING:
    from ..rebuild import Comparison

_WORDS = Words(
    second="in the second it is", only_first="only the first has it", only_second="only the second "
    "has it",
)  # fmt: skip


@click.command("diff")
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@_options.differing_limit
@_options.as_json
@_options.broker_options
@_options.store
@click.pass_context
def command(
    ctx: click.Context,
    /,
    first: str,
    second: str,
    limit: int,
    as_json: bool,
    kafka_options: tuple[str, ...],
    **options: object,
) -> None:
    """Show the sessions in which two states differ, field by field.

    A and B are each the URL of a store, or a time (2026-03-01T12:00:00Z, or an age like 2h): then
    the log of --store is folded up to it, into a file that is thrown away.

    Exits with 0 when they are the same, with 20 when they differ.
    """
    settings = load(options, kafka_options)
    show_info()
    from ..rebuild import Comparison, pairs_of

    found = Comparison(limit=limit)
    with ExitStack() as stack:
        stores = [stack.enter_context(_state(ctx, settings, each)) for each in (first, second)]
        for each in stores:
            stack.enter_context(each.snapshot())
        found.take(pairs_of(*(each.states() for each in stores)))
    _show(found, as_json=as_json)
    if found.sessions:
        ctx.exit(StoreDiffersError.exit_code)


@contextmanager
def _state(ctx: click.Context, settings: Settings, given: str) -> Iterator[SessionStore]:
    """Open the store of a URL, or of a time."""
    if "://" in given:
        with closing(open_store(given, read_only=True)) as store:
            yield store
        return
    moment = _options.MOMENT.convert(given, None, ctx)
    with tempfile.TemporaryDirectory(prefix="sessionfold-") as folder:
        url = f"sqlite:///{Path(folder, 'then.db')}"
        if not fold_into(settings, url, [moment], is_silent=True):
            ctx.exit(1)
        with closing(open_store(url, read_only=True)) as store:
            yield store


def _show(found: Comparison, *, as_json: bool) -> None:
    if as_json:
        changes = [asdict(each) for each in found.changes]
        for each in changes:
            each["first"], each["second"] = each.pop("live"), each.pop("rebuilt")
        print_json({"sessions": found.sessions, "changes": changes})
        return
    differ = counted(found.sessions, "session") if found.sessions else "no session"
    click.echo(f"{differ} {'differs' if found.sessions < 2 else 'differ'}")  # noqa: PLR2004
    for line in change_lines(found, _WORDS):
        click.echo(line)
