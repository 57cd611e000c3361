"""A session's history: each of its records in log order, and the state after it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ..state import State
from ..store import DeadLetter
from ..verify.reference import Event, ReferenceFold, columns, judge
from .session import Record, SessionLog

Fate = Literal["folded", "retried", "set_aside", "dropped", "refused"]
"""What became of a record.

``folded`` is in the state, as is ``retried``, which was a dead letter before. ``set_aside`` is an
open dead letter, and ``dropped`` one that a person gave up. ``refused`` is no valid event, though
the store does not list it as a dead letter: store and log disagree.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One record of a session, and what it did to the session's state in its partition."""

    record: Record
    fate: Fate
    reason: str | None
    """Why it was set aside or refused; None when it is in the state."""
    event: Event
    """All fields of the event, None where it gives none; empty when it is in no state."""
    before: State | None
    """The state that it met; None when there was none yet."""
    after: State | None
    """The state that it left."""

    @property
    def is_event(self) -> bool:
        """Whether it is in the state."""
        return self.fate in ("folded", "retried")


class History:
    """Yields a session's steps, once. The fold is the reference's, one event after the other.

    Where the log is ``missing`` the first events, the states are those of the rest.
    """

    def __init__(self, log: SessionLog) -> None:
        self._log = log
        self.missing = log.missing

    def __iter__(self) -> Iterator[Step]:
        """Yield the steps by partition, then in log order; raises as ``SessionLog.records``."""
        folds: dict[int, ReferenceFold] = {}
        states: dict[int, State] = {}
        for record, letter in self._log.records():
            partition = record.partition
            fold = folds.setdefault(partition, ReferenceFold())
            step = _step(record, letter, fold, states.get(partition))
            if step.after is not None:
                states[partition] = step.after
            yield step


def _step(
    record: Record, letter: DeadLetter | None, fold: ReferenceFold, before: State | None
) -> Step:
    fate, reason, event = _judged(record, letter)
    after = before
    if event:
        fold.add(record.partition, record.offset, event)
        [(_, values)] = fold.states()
        after = dict(zip(columns(), values, strict=True))
    return Step(record=record, fate=fate, reason=reason, event=event, before=before, after=after)


def _judged(record: Record, letter: DeadLetter | None) -> tuple[Fate, str | None, Event]:
    """Say what became of a record: the store's word for what it set aside, else the reference's."""
    if letter is not None and letter.status != "retried":
        return "set_aside" if letter.status == "open" else "dropped", letter.reason, {}
    reason, event = judge(record.key, record.value)
    if reason is not None:
        return "refused", reason, {}
    return "folded" if letter is None else "retried", None, event
