"""What another contract would make of the same log: folded in a process of its own, compared.

A process has one contract, and everything in it is shaped by that. So the fold by the contract that
is tried, and the text of its states, are made in another process; this one compares the texts.
"""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sessionfold_schemas import ContractError, try_contract

from ..config import Settings
from ..errors import ConfigurationError, ConsumerError
from ..observer import Observer
from ..store import Pair, SessionStore
from .comparison import Change, side_by_side
from .excerpt import Excerpt

Observing = Callable[[], AbstractContextManager[Observer]]
"""Makes what sees the fold."""

_NOT_COMPARED = "_offset"


@dataclass(kw_only=True, slots=True)
class Outlook:
    """What would differ: all sessions are counted, the changes of some are kept."""

    limit: int
    """How many sessions to keep the changes of."""
    sessions: int = 0
    """Sessions that would differ."""
    compared: int = 0
    """Sessions that there are, by either contract."""
    fields: Counter[str] = field(default_factory=Counter)
    """For each field in how many sessions it would be another value."""
    changes: list[Change] = field(default_factory=list)
    refused: int = 0
    """Records that would be no valid events, beyond those that are none now."""

    def take(self, pairs: Iterable[Pair]) -> None:
        """Take sessions, by the present contract and by the tried one."""
        for live, tried in pairs:
            self.compared += 1
            found = _changes(live, tried)
            if found:
                self.sessions += 1
                self.fields.update(each.field for each in found if each.field is not None)
                if self.sessions <= self.limit:
                    self.changes += found


def write_states(store: SessionStore, path: Path) -> None:
    """Write a store's states to a file, a line of JSON each, in the order of every store."""
    with path.open("w", encoding="utf-8") as file:
        for state in store.states():
            file.write(f"{json.dumps(state)}\n")


def compared(live: Path, tried: Path) -> Iterator[Pair]:
    """Yield the sessions of two such files, side by side."""
    with live.open(encoding="utf-8") as some, tried.open(encoding="utf-8") as others:
        yield from side_by_side(map(json.loads, some), map(json.loads, others))


def fold_by(
    contract: str, settings: Settings, excerpt: Excerpt, folder: Path, observing: Observing
) -> int:
    """Fold an excerpt by another contract; write its states to ``tried.jsonl`` in the folder.

    Args:
        contract: the text of an ``.avsc`` file.
        settings: where the log is.
        excerpt: what to fold.
        folder: for the file and a store; empty, and only this process's.
        observing: a function of a module, called in the other process.

    Returns:
        How many records were no valid events.

    Raises:
        ConfigurationError: when the contract is none that this program can work with.
        ConsumerError: one of its kinds, when the log cannot be folded.
    """
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_fold, args=(theirs, contract, settings, excerpt, folder, observing)
    )
    process.start()
    theirs.close()
    try:
        outcome = ours.recv()
    except EOFError:
        outcome = ConsumerError("the process that folds by the other contract has ended")
    finally:
        process.join()
    if isinstance(outcome, ConsumerError):
        raise outcome
    return int(outcome)


def _fold(
    pipe: Connection,
    contract: str,
    settings: Settings,
    excerpt: Excerpt,
    folder: Path,
    observing: Observing,
) -> None:
    """Fold by the contract, in a process that was made for it."""
    try:
        try:
            try_contract(contract)
        except (ContractError, KeyError, TypeError, ValueError) as error:
            problem = f"it has no entry {error}" if isinstance(error, KeyError) else str(error)
            raise ConfigurationError(f"--schema names no contract to fold by: {problem}") from error
        pipe.send(_folded(settings, excerpt, folder, observing))
    except ConsumerError as error:
        pipe.send(error.plain())


def _folded(settings: Settings, excerpt: Excerpt, folder: Path, observing: Observing) -> int:
    from ..bootstrap import fold
    from ..store.sqlite_scratch import make_scratch

    with closing(make_scratch(folder / "tried.db")) as store:
        with observing() as observer:
            fold(settings, excerpt, store, observer)
        write_states(store, folder / "tried.jsonl")
        return sum(1 for _ in store.dead_letters())


def _changes(live: dict[str, Any] | None, tried: dict[str, Any] | None) -> list[Change]:
    """Return the fields that differ; one that only one contract has and that is null does not."""
    there = live or tried
    assert there is not None  # noqa: S101 - one of them is there
    key = {"session_id": there["session_id"], "partition": there["partition"]}
    if live is None or tried is None:
        return [Change(**key, field=None, live=live and "there", rebuilt=tried and "there")]
    names = [each for each in {**live, **tried} if not each.endswith(_NOT_COMPARED)]
    return [
        Change(**key, field=each, live=live.get(each), rebuilt=tried.get(each))
        for each in names
        if live.get(each) != tried.get(each)
    ]
