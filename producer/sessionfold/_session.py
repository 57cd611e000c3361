"""Which session a call belongs to.

The context variable holds the current session's ID as a ``str`` that knows its :class:`Session`.
So a context that still names an ended session can tell that it ended, however long ago, and nothing
has to remember every session that ever was.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING

from sessionfold_schemas import event_prefix, session_id_problem

from .errors import InvalidFieldError, NoActiveSessionError

if TYPE_CHECKING:
    from ._client import Client
    from ._publisher import DeliveredRecord, DeliveryError

Mask = Callable[[str], str]


class Session:
    """What one process knows of one session.

    The counters are the client's: ``accepted`` and ``lost`` change under its lock, ``settled`` in
    the thread that takes delivery reports.
    """

    __slots__ = (
        "accepted", "auto_end", "client", "ended", "has_verdict", "id", "in_task", "key", "lost",
        "mask", "outer", "pid", "prefix", "settled",
    )  # fmt: skip

    def __init__(self, session_id: str) -> None:
        self.id = CurrentSession(session_id)
        self.id.session = self
        self.key = session_id.encode()
        self.prefix = event_prefix(session_id)
        self.outer: str | None = None
        self.mask: Mask | None = None
        self.auto_end = False
        self.has_verdict = False
        self.ended = False
        self.in_task = _in_task()
        self.pid = os.getpid()
        self.client: Client = None  # type: ignore[assignment] # set before the first event
        self.accepted = 0
        self.settled = 0
        self.lost = 0

    def on_delivery(self, error: DeliveryError | None, record: DeliveredRecord) -> None:
        """Take the delivery report of one of this session's events."""
        self.settled += 1
        if error is None:
            self.client.reported_delivered += 1
        else:
            self.client.delivery_failed(self, error, record)


class CurrentSession(str):
    """A session ID, as the context variable holds it, with its session."""

    __slots__ = ("session",)
    session: Session


class _Unset(str):
    """Tells a context that never had a session from one whose session was cleared (None)."""


_UNSET = _Unset()

current_session_id: ContextVar[str | None] = ContextVar("current_session_id", default=None)
"""The current session's ID. A plain ``str`` set by hand binds like :func:`bind_session`."""


def checked_id(session_id: object) -> str:
    """Return ``session_id`` as a str.

    Raises:
        InvalidFieldError: when it is no str of 1 to 512 UTF-8 bytes without control characters.
    """
    if not isinstance(session_id, str):
        kind = type(session_id).__qualname__
        raise InvalidFieldError("session_id", f"is of type {kind}; accepted is str")
    problem = session_id_problem(session_id)
    if problem is not None:
        raise InvalidFieldError("session_id", problem)
    return str.__str__(session_id)


def resolve(open_sessions: dict[str, Session], known: Callable[[str], Session]) -> Session:
    """Return the session that is current here.

    First the context variable (if its session has ended, the one it was nested in); then, in a
    thread whose context never had one, the process's one open session.

    Args:
        open_sessions: the sessions begun in this process and not ended, by ID.
        known: finds or makes the session of an ID that was set by hand.

    Raises:
        NoActiveSessionError: when there is none, or several and none bound. It never guesses.
    """
    current = current_session_id.get(_UNSET)
    if type(current) is CurrentSession and not current.session.ended:
        return current.session
    if current is _UNSET:
        return _only_session(open_sessions)
    inner = current
    while type(current) is CurrentSession and current.session.ended:
        current = current.session.outer
    if current is None:
        raise NoActiveSessionError(
            "no session is active here: "
            + _nothing_bound(inner)
            + "; call init() or bind_session()"
        )
    return current.session if type(current) is CurrentSession else known(checked_id(current))


def enclosing() -> str | None:
    """Return what a session begun now is nested in: the nearest current one that is still open."""
    current = current_session_id.get()
    while type(current) is CurrentSession and current.session.ended:
        current = current.session.outer
    return current


def leave(session: Session) -> None:
    """Make the outer session current where ``session`` is."""
    if current_session_id.get() == session.id:
        current_session_id.set(enclosing())


def _only_session(open_sessions: dict[str, Session]) -> Session:
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


def _nothing_bound(current: str | None) -> str:
    return "it was cleared" if current is None else "the current one has ended"


def _in_task() -> bool:
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return False
    try:
        return asyncio.current_task() is not None  # raises where no loop runs
    except RuntimeError:
        return False
