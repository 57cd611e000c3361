"""Sessions for a block or a function: begun and ended, or only bound."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ParamSpec, TypeVar

from . import _process
from ._calls import init, publish_end, wait_until_settled
from ._fields import checked_fields
from ._session import Session, bind, checked_id, current_session_id, restored
from .errors import ClosedError

P = ParamSpec("P")
R = TypeVar("R")


@contextmanager
def session(**init_arguments: Any) -> Iterator[str]:  # noqa: ANN401 - see init()
    """Start a session for the block, with :func:`init`'s arguments, and end it after.

    On an exception ``is_successful`` becomes False with the exception's type as the reason, unless
    the block has set it itself; the exception goes on.

    Yields:
        The session's ID.
    """
    awaited: list[Session] = []
    try:
        with _begun(init_arguments, awaited) as identifier:
            yield identifier
    finally:
        for ended in awaited:
            wait_until_settled(ended)


@asynccontextmanager
async def session_async(**init_arguments: Any) -> AsyncIterator[str]:  # noqa: ANN401 - see init()
    """:func:`session` for ``async with``; a wait for delivery leaves the event loop free."""
    awaited: list[Session] = []
    try:
        with _begun(init_arguments, awaited) as identifier:
            yield identifier
    finally:
        for ended in awaited:
            await settled(ended)


@contextmanager
def bind_session(session_id: str) -> Iterator[str]:
    """Make ``session_id`` the current session for the block; never starts or ends it.

    Yields:
        The session's ID.

    Raises:
        InvalidFieldError: when ``session_id`` cannot be one.
    """
    with restored():
        set_active_session(session_id)
        yield session_id


@asynccontextmanager
async def bind_session_async(session_id: str) -> AsyncIterator[str]:
    """:func:`bind_session` for ``async with``."""
    with bind_session(session_id) as identifier:
        yield identifier


def run_session(
    fn: Callable[..., R],
    *args: Any,  # noqa: ANN401 - the function's own
    init_params: dict[str, Any] | None = None,
    **kwargs: Any,  # noqa: ANN401 - the function's own
) -> R:
    """Call ``fn`` in a session of its own, begun with ``init_params``, and return its result."""
    with session(**(init_params or {})):
        return fn(*args, **kwargs)


def run_in_session(session_id: str, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``fn`` with ``session_id`` as the current session and return its result."""
    with bind_session(session_id):
        return fn(*args, **kwargs)


def set_active_session(session_id: str | None) -> None:
    """Make ``session_id`` the current session here; None clears it.

    Raises:
        InvalidFieldError: when ``session_id`` cannot be one.
    """
    if session_id is None:
        clear_active_session()
    else:
        bind(_process.client().session(checked_id(session_id)))


def clear_active_session() -> None:
    """Make no session current here; sessions that are open stay open."""
    current_session_id.set(None)


async def settled(session: Session) -> None:
    """Wait until this session's events are delivered or dropped; the event loop goes on."""
    import asyncio

    await asyncio.to_thread(wait_until_settled, session)


@contextmanager
def _begun(init_arguments: dict[str, Any], awaited: list[Session]) -> Iterator[str]:
    """Begin a session and end it; add it to ``awaited`` when its delivery is to be waited for."""
    with restored():
        identifier = init(**init_arguments)
        begun = _process.client().session(identifier)
        try:
            yield identifier
        except BaseException as error:
            _end_block(begun, awaited, error)
            raise
        _end_block(begun, awaited, None)


def _end_block(begun: Session, awaited: list[Session], error: BaseException | None) -> None:
    # A forked child that leaves the block must not end its parent's session.
    if begun.ended or begun.pid != os.getpid():
        return
    try:
        client = _process.client()
    except ClosedError:
        return  # shut down within the block; an exception that is on its way must go on
    if client.disabled:
        return
    reason = None if begun.has_verdict else _failure(error)
    verdict = {} if reason is None else {"is_successful": False, "is_successful_reason": reason}
    publish_end(client, begun, checked_fields(client, begun.mask, **verdict))
    if client.configuration.end_waits:
        awaited.append(begun)


def _failure(error: BaseException | None) -> str | None:
    """Return the name of a failure's type; an exit with code 0 and a closed generator are none."""
    harmless = isinstance(error, GeneratorExit) or (
        isinstance(error, SystemExit) and not error.code
    )
    return None if error is None or harmless else type(error).__qualname__
