"""The calls that workers make. Names, order of arguments and behaviour are those of the guide."""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from . import _process
from ._session import (
    CurrentSession,
    Mask,
    Session,
    checked_id,
    current_session_id,
    enclosing,
    leave,
    resolve,
)
from .errors import NoActiveSessionError

if TYPE_CHECKING:
    from ._client import Client, Stats

logger = logging.getLogger("sessionfold")

P = ParamSpec("P")
R = TypeVar("R")

MASKED = "[masking failed]"
"""Published in place of a text whose masking function raised."""


def configure(**settings: Any) -> None:  # noqa: ANN401 - see Configuration
    """Set up this process's client before the first :func:`init`; optional.

    Args:
        **settings: the fields of :class:`sessionfold.Configuration`. What is not given comes from
            the environment (``SESSIONFOLD_BOOTSTRAP_SERVERS`` ...), else from the default.

    Raises:
        ConfigurationError: when a setting cannot work, or the client is already in use.
    """
    from ._client import Client
    from ._config import load

    _process.configure(lambda: Client(load(**settings)))


def init(  # noqa: PLR0913, PLR0917 - the surface that workers were written against
    session_name: str | None = None,
    session_id: str | None = None,
    api_key: str | None = None,
    agent_id: str | None = None,
    task: str | None = None,
    providers: object = None,
    production_monitoring: bool = False,
    experiment_id: str | None = None,
    evaluators: object = None,
    tags: object = None,
    datasetitem_id: str | None = None,
    masking_function: Mask | None = None,
    auto_end: bool = True,
    capture_uncaught: bool = True,
) -> str:
    """Start a session, or resume ``session_id``, and make it current here.

    Args:
        session_name: a name for people.
        session_id: the session to resume; None starts a new one with a random UUID.
        task: what the session is doing now.
        masking_function: applied to every free text of this session before it is published.
        auto_end: whether a normal end of the process ends the session, without an opinion on its
            success.
        api_key, agent_id, providers, production_monitoring, experiment_id, evaluators, tags,
            datasetitem_id, capture_uncaught: accepted and ignored.

    Returns:
        The session's ID.

    Raises:
        InvalidFieldError: when an argument cannot be a field's value; nothing was published.
        ConfigurationError: when the client's settings cannot work.
    """
    client = _process.client()
    identifier = str(uuid.uuid4()) if session_id is None else checked_id(session_id)
    session = client.session(identifier)
    session.mask, session.auto_end, session.has_verdict = masking_function, auto_end, False
    fields = _state_fields(client, session, session_name=session_name, task=task)
    _say_ignored(
        api_key=api_key, agent_id=agent_id, providers=providers, evaluators=evaluators, tags=tags,
        production_monitoring=production_monitoring or None, experiment_id=experiment_id,
        datasetitem_id=datasetitem_id, capture_uncaught=None if capture_uncaught else False,
    )  # fmt: skip
    outer = enclosing()
    if outer != session.id:
        session.outer = outer
    client.begin(session)
    current_session_id.set(session.id)
    fields |= {"is_finished": False, "started_at": time.time_ns() // 1000}
    client.publish(session, fields, urgent=True)
    return identifier


def update_session(
    task: str | None = None,
    session_eval: float | str | None = None,
    session_eval_reason: str | None = None,
    is_successful: bool | None = None,
    is_successful_reason: str | None = None,
    session_id: str | None = None,
) -> None:
    """Publish what was given, and only that; never waits for the network.

    Args:
        task: what the session is doing now.
        session_eval: how well it goes; any finite number, 0 to 1 is typical.
        session_eval_reason: why.
        is_successful: whether it reached its goal.
        is_successful_reason: why.
        session_id: the session; None is the current one.

    None means *not given*; a field cannot be cleared. With all None nothing is published.

    Raises:
        NoActiveSessionError: when no session is current here.
        InvalidFieldError: when an argument cannot be a field's value; nothing was published.
    """
    client = _process.existing or _process.client()
    current = current_session_id.get() if session_id is None else None
    if type(current) is CurrentSession and not current.session.ended:
        session = current.session
    else:
        session = _session(client, session_id)
    fields: dict[str, Any] = {}
    values = client.values
    if task is not None:
        fields["task"] = values.text("task", task)
    if session_eval is not None:
        fields["session_eval"] = values.number("session_eval", session_eval)
    if session_eval_reason is not None:
        fields["session_eval_reason"] = values.text("session_eval_reason", session_eval_reason)
    if is_successful is not None:
        fields["is_successful"] = values.flag("is_successful", is_successful)
        session.has_verdict = True
    if is_successful_reason is not None:
        fields["is_successful_reason"] = values.text("is_successful_reason", is_successful_reason)
    if fields:
        client.publish(
            session, fields if session.mask is None else _masked(client, session, fields)
        )


def end_session(
    session_eval: float | str | None = None,
    session_eval_reason: str | None = None,
    is_successful: bool | None = None,
    is_successful_reason: str | None = None,
    wait_for_flush: bool | None = None,
    session_id: str | None = None,
) -> None:
    """Publish the final values and the end in one event, and make the outer session current.

    Args:
        session_eval, session_eval_reason, is_successful, is_successful_reason: as in
            :func:`update_session`.
        wait_for_flush: whether to wait, with a bound, until this session's events are delivered;
            None follows the setting ``end_waits``.
        session_id: the session; None is the current one.

    Raises:
        NoActiveSessionError: when no session is current here, as after an earlier end.
        InvalidFieldError: when an argument cannot be a field's value; nothing was published.
    """
    client = _process.client()
    session = _session(client, session_id)
    fields = _state_fields(
        client,
        session,
        session_eval=session_eval,
        session_eval_reason=session_eval_reason,
        is_successful=is_successful,
        is_successful_reason=is_successful_reason,
    )
    _end(client, session, fields)
    leave(session)
    configuration = client.configuration
    if configuration.end_waits if wait_for_flush is None else wait_for_flush:
        client.flush(configuration.end_timeout_seconds, session)


@contextmanager
def session(**init_arguments: Any) -> Iterator[str]:  # noqa: ANN401 - see init()
    """Start a session for the block, with :func:`init`'s arguments, and end it after.

    On an exception ``is_successful`` becomes False with the exception's type as the reason, unless
    the block has set it itself; the exception goes on.

    Yields:
        The session's ID.
    """
    identifier = init(**init_arguments)
    begun = _process.client().session(identifier)
    outer = begun.outer
    try:
        yield identifier
    except BaseException as error:
        _end_block(begun, _verdict(begun, error))
        raise
    else:
        _end_block(begun, {})
    finally:
        current_session_id.set(outer)


@asynccontextmanager
async def session_async(**init_arguments: Any) -> AsyncIterator[str]:  # noqa: ANN401 - see init()
    """:func:`session` for ``async with``."""
    with session(**init_arguments) as identifier:
        yield identifier


@contextmanager
def bind_session(session_id: str) -> Iterator[str]:
    """Make ``session_id`` the current session for the block; never starts or ends it.

    Yields:
        The session's ID.

    Raises:
        InvalidFieldError: when ``session_id`` cannot be one.
    """
    previous = current_session_id.get()
    set_active_session(session_id)
    try:
        yield session_id
    finally:
        current_session_id.set(previous)


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
    """Call ``fn`` in a session of its own."""
    with session(**(init_params or {})):
        return fn(*args, **kwargs)


def run_in_session(session_id: str, fn: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Call ``fn`` with ``session_id`` as the current session."""
    with bind_session(session_id):
        return fn(*args, **kwargs)


def set_active_session(session_id: str | None) -> None:
    """Make ``session_id`` the current session here; None clears it.

    Raises:
        InvalidFieldError: when ``session_id`` cannot be one.
    """
    if session_id is None:
        current_session_id.set(None)
        return
    found = _process.client().session(checked_id(session_id))
    # An ended session is bound by its plain ID, which says: on purpose.
    current_session_id.set(str.__str__(found.id) if found.ended else found.id)


def clear_active_session() -> None:
    """Make no session current here; sessions that are open stay open."""
    current_session_id.set(None)


def get_session_id() -> str | None:
    """Return the ID of the session that a call here would belong to, or None."""
    client = _process.existing
    if client is None and current_session_id.get() is None:
        return None
    try:
        return str.__str__(_session(_process.client(), None).id)
    except NoActiveSessionError:
        return None


def flush(timeout_seconds: float = 2.0) -> bool:
    """Wait until everything accepted so far is delivered.

    Returns:
        True when it was; False when the time ran out or an event was given up.
    """
    client = _process.existing
    return client is None or client.flush(timeout_seconds)


def shutdown(timeout_seconds: float | None = None) -> None:
    """Deliver what can be delivered in time and close; later calls raise ``ClosedError``.

    Args:
        timeout_seconds: the bound; None is the setting ``exit_timeout_seconds``.
    """
    client = _process.existing
    if client is not None:
        bound = client.configuration.exit_timeout_seconds
        _process.close(bound if timeout_seconds is None else timeout_seconds)


def stats() -> Stats:
    """Return what became of this process's events so far."""
    return _process.client().stats()


def end_own_sessions(client: Client) -> None:
    """End the sessions begun in this process with ``auto_end``, with no opinion on success."""
    for own in list(client.open_sessions.values()):
        if own.auto_end and own.pid == os.getpid():
            _end(client, own, {})


def _session(client: Client, session_id: str | None) -> Session:
    if session_id is not None:
        return client.session(checked_id(session_id))
    return resolve(client.open_sessions, client.session)


def _end(client: Client, session: Session, fields: dict[str, Any]) -> None:
    ending = fields | {"is_finished": True, "ended_at": time.time_ns() // 1000}
    client.publish(session, ending, urgent=True)
    client.end(session)


def _end_block(begun: Session, fields: dict[str, Any]) -> None:
    client = _process.client()
    if not begun.ended:
        _end(client, begun, fields)
        if client.configuration.end_waits:
            client.flush(client.configuration.end_timeout_seconds, begun)


def _verdict(begun: Session, error: BaseException) -> dict[str, Any]:
    harmless = isinstance(error, GeneratorExit) or (
        isinstance(error, SystemExit) and not error.code
    )
    if begun.has_verdict or harmless:
        return {}
    return {"is_successful": False, "is_successful_reason": type(error).__qualname__}


_CHECKS = {
    "session_name": "text",
    "task": "text",
    "session_eval": "number",
    "session_eval_reason": "text",
    "is_successful": "flag",
    "is_successful_reason": "text",
}


def _state_fields(client: Client, session: Session, **given: Any) -> dict[str, Any]:  # noqa: ANN401
    fields = {
        name: getattr(client.values, _CHECKS[name])(name, value)
        for name, value in given.items()
        if value is not None
    }
    session.has_verdict |= "is_successful" in fields
    return fields if session.mask is None else _masked(client, session, fields)


def _masked(client: Client, session: Session, fields: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _mask(client, session, name, value) if isinstance(value, str) else value
        for name, value in fields.items()
    }


def _mask(client: Client, session: Session, field: str, text: str) -> str:
    try:
        assert session.mask is not None  # noqa: S101 - the caller has looked
        return client.values.text(field, session.mask(text))
    # A masking function is the worker's own code: whatever it raises must not reach the worker.
    except Exception as error:  # noqa: BLE001
        if not client.masking_failed:
            client.masking_failed = True
            logger.warning(
                "a masking function raised %s; a placeholder is published", type(error).__name__
            )
        return MASKED


def _say_ignored(**arguments: object) -> None:
    names = sorted(name for name, value in arguments.items() if value is not None)
    client = _process.client()
    if names and not client.said_ignored:
        client.said_ignored = True
        logger.debug("init() ignores these arguments: %s", ", ".join(names))
