"""Which session a call belongs to.

The context variable holds the current session's ID as a ``str`` that knows its :class:`Session` and
what it is nested in. So a context that still names an ended session can tell that it ended, however
long ago, and nothing has to remember every session that ever was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING

from sessionfold_schemas import event_prefix, session_id_problem

from ._values import plain_text
from .errors import InvalidFieldError, NoActiveSessionError

if TYPE_CHECKING:
    from ._client import Client
    from ._inbox import Inbox, Update

Mask = Callable[[str], str]


class Session:
    """What one process knows of one session.

    ``accepted``, ``lost`` and ``waiting`` change under the inbox's lock; ``settled`` and what
    follows it in :meth:`enter`, in the sender's thread.
    """

    __slots__ = (
        "__weakref__", "accepted", "auto_end", "behind", "client", "delivered_through", "ended",
        "given", "has_verdict", "id", "in_task", "inbox", "is_new", "is_placed", "key", "lost",
        "mask", "pid", "prefix", "settled", "waiting",
    )  # fmt: skip

    client: Client
    inbox: Inbox | None

    def __init__(self, session_id: str) -> None:
        self.id = session_id
        self.key = session_id.encode()
        self.prefix = event_prefix(session_id)
        self.mask: Mask | None = None
        self.auto_end = False
        self.has_verdict = False
        self.ended = False
        self.in_task = _in_task()
        self.pid = os.getpid()
        self.is_new = False
        """Whether its ID was made here, so that no other process can have older events of it."""
        self.inbox = None
        self.accepted = 0

    def enter(self, client: Client, inbox: Inbox) -> None:
        """Belong to this client from now on, with no event so far."""
        is_first_client = self.inbox is None
        self.client = client
        self.inbox = inbox
        self.accepted = self.lost = 0
        self.waiting: Update | None = None
        """The last update, while it waits in the inbox."""
        self.settled = 0
        self.delivered_through = -1
        """The greatest number of an event that was delivered."""
        self.given: dict[str, int] = {}
        """For each field the number of the last event that gave it."""
        self.is_placed = self.is_new and is_first_client and self.pid == os.getpid()
        """Whether it is known whether another spool has older events of it."""
        self.behind: tuple[str, ...] = ()
        """The names of these spools."""


class CurrentSession(str):
    """A session ID as the context variable holds it: with its session and what it is nested in."""

    __slots__ = ("outer", "session")
    session: Session
    outer: str | None


class _Unset(str):
    """Tells a context that never had a session from one whose session was cleared (None)."""


_UNSET = _Unset()

current_session_id: ContextVar[str | None] = ContextVar("current_session_id", default=None)
"""The current session's ID. A plain ``str`` set by hand binds like ``bind_session``."""


def checked_id(session_id: object) -> str:
    """Return ``session_id`` as a str.

    Raises:
        InvalidFieldError: when it is no str of 1 to 512 UTF-8 bytes without control characters.
    """
    given = plain_text(session_id)
    if given is None:
        kind = type(session_id).__qualname__
        raise InvalidFieldError("session_id", f"is of type {kind}; accepted is str")
    problem = session_id_problem(given)
    if problem is not None:
        raise InvalidFieldError("session_id", problem)
    return given


def resolve(open_sessions: Mapping[str, Session]) -> Session | str:
    """Return the session that is current here, or its ID when that was set by hand.

    First the context variable (if its session has ended, the one it was nested in); then, in a
    thread whose context never had one, the process's one open session.

    Args:
        open_sessions: the sessions begun in this process and not ended, by ID.

    Raises:
        NoActiveSessionError: when there is none, or several and none bound. It never guesses.
    """
    current = current_session_id.get(_UNSET)
    if current is _UNSET:
        return _only_session(open_sessions)
    found = _nearest_open(current)
    if found is None:
        raise NoActiveSessionError(
            "no session is active here: the last one has ended or was cleared; "
            "call init() or bind_session()"
        )
    return found.session if type(found) is CurrentSession else checked_id(found)


def nest(session: Session) -> None:
    """Make ``session`` current here; when it ends, what is current now is current again."""
    outer = _nearest_open(current_session_id.get())
    if session.inbox is not None:
        outer = _without(session, outer)
    _set(session, outer)


def bind(session: Session) -> None:
    """Make ``session`` current here; when it ends, nothing is.

    An ended session is bound by its plain ID, which says: on purpose.
    """
    if session.ended:
        current_session_id.set(session.id)
    else:
        _set(session, None)


def leave(session: Session) -> None:
    """After ``session`` has ended, make the outer one current where it was current."""
    current = current_session_id.get()
    if plain_text(current) == session.id:
        outer = current.outer if type(current) is CurrentSession else None
        current_session_id.set(_nearest_open(outer))


@contextmanager
def restored() -> Iterator[None]:
    """After the block make current what is current now; also nothing, and also *never any*."""
    token = current_session_id.set(current_session_id.get())
    try:
        yield
    finally:
        _restore(token)


@contextmanager
def untouched() -> Iterator[None]:
    """Run the block as in a context that never had a session, and restore what was current."""
    token = current_session_id.set(_UNSET)
    try:
        yield
    finally:
        _restore(token)


def _restore(token: Token[str | None]) -> None:
    try:
        current_session_id.reset(token)
    except ValueError:
        # An async generator that is closed from another context leaves that one as it is.
        return


def _set(session: Session, outer: str | None) -> None:
    current = CurrentSession(session.id)
    current.session = session
    current.outer = outer
    current_session_id.set(current)


def _nearest_open(current: str | None) -> str | None:
    while type(current) is CurrentSession and current.session.ended:
        current = current.outer
    return None if current is _UNSET else current


def _without(session: Session, current: str | None) -> str | None:
    """Return the nesting ``current`` without ``session``: begun again, it is the innermost only."""
    kept: list[CurrentSession] = []
    while type(current) is CurrentSession:
        if current.session is not session:
            kept.append(current)
        current = current.outer
    for each in reversed(kept):
        copy = CurrentSession(each)
        copy.session, copy.outer = each.session, current
        current = copy
    return current


def _only_session(open_sessions: Mapping[str, Session]) -> Session:
    sessions = list(open_sessions.values())
    if not sessions:
        raise NoActiveSessionError("no session is active: call init() first")
    if len(sessions) > 1:
        raise NoActiveSessionError(
            f"{len(sessions)} sessions are open in this process and none is bound here; "
            "wrap the work in bind_session(session_id) or pass session_id="
        )
    if sessions[0].in_task and _in_task():
        raise NoActiveSessionError(
            "no session is bound in this task, and the open one belongs to another task; "
            "wrap the work in bind_session(session_id) or pass session_id="
        )
    return sessions[0]


def _in_task() -> bool:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        return asyncio.current_task() is not None  # raises where no loop runs
    except RuntimeError:
        return False
