"""The rule "which session is current", written down a second time, as plainly as it can be.

A context holds the sessions that were made current in it, innermost last; None when there never was
one. Of these the last that is open is current. The SDK keeps linked, immutable values in a context
variable instead; nothing of it is used here.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

Nesting = tuple["Entry", ...]


@dataclass(frozen=True)
class Entry:
    """A session that was made current.

    Attributes:
        on_purpose: it had ended before it was bound, so that it had does not matter.
    """

    session: str
    on_purpose: bool = False


@dataclass(eq=False)
class Context:
    """What a thread, a task, or a copied context has of its own."""

    nesting: Nesting | None = None

    def copy(self) -> Context:
        """Return what a child inherits."""
        return replace(self)


@dataclass
class World:
    """The sessions of the process.

    Attributes:
        open: those begun here and not ended, and whether a task began them.
        ended: those that have ended and were not begun again.
        published: the session and the kind of each event that there must be, in order.
    """

    open: dict[str, bool] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    published: list[tuple[str, str]] = field(default_factory=list)
    _began_in_task: dict[str, bool] = field(default_factory=dict)

    def current(self, context: Context, *, in_task: bool) -> str | None:
        """Return the session that a call belongs to; None when it must raise."""
        if context.nesting is None:
            return self._only_one(in_task=in_task)
        open_ones = self._open_part(context.nesting)
        return open_ones[-1].session if open_ones else None

    def begin(self, context: Context, session: str, *, in_task: bool) -> None:
        """``init`` of a session, new or known."""
        outer = self._open_part(context.nesting or ())
        outer = tuple(each for each in outer if each.on_purpose or each.session != session)
        self.ended.discard(session)
        self.open[session] = self._began_in_task.setdefault(session, in_task)
        context.nesting = (*outer, Entry(session))
        self.published.append((session, "begin"))

    def end(self, context: Context, session: str) -> None:
        """``end_session`` of the current session, or of an explicit one."""
        self.end_block(session)
        if context.nesting and context.nesting[-1].session == session:
            context.nesting = self._open_part(context.nesting[:-1])

    def end_block(self, session: str) -> None:
        """The end of a session as its block publishes it."""
        self.open.pop(session, None)
        self.ended.add(session)
        self.published.append((session, "end"))

    def bind(self, context: Context, session: str) -> None:
        """Make a session current that nothing is around."""
        context.nesting = (Entry(session, on_purpose=session in self.ended),)

    def _open_part(self, nesting: Nesting) -> Nesting:
        """Return the nesting without what has ended at its inner end."""
        size = len(nesting)
        while size and not nesting[size - 1].on_purpose and nesting[size - 1].session in self.ended:
            size -= 1
        return nesting[:size]

    def _only_one(self, *, in_task: bool) -> str | None:
        if len(self.open) != 1:
            return None
        ((session, began_in_task),) = self.open.items()
        return None if began_in_task and in_task else session
