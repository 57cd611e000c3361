"""The calls that workers make. Names, order of arguments and behaviour are those of the guide."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from . import _process
from ._fields import Flag, Number, checked_fields, masked
from ._ids import new_session_id
from ._inbox import EVENT_BYTES, charged
from ._session import (
    CurrentSession,
    Mask,
    Session,
    checked_id,
    current_session_id,
    leave,
    nest,
    resolve,
)
from ._values import listed, seconds, truth
from .errors import InvalidFieldError, NoActiveSessionError

if TYPE_CHECKING:
    from ._client import Client
    from ._stats import Stats

logger = logging.getLogger("sessionfold")


def configure(**settings: Any) -> None:  # noqa: ANN401 - see Configuration
    """Set up this process's client before the first :func:`init`; optional.

    Args:
        **settings: the fields of :class:`sessionfold.Configuration`. What is not given comes from
            the environment (``SESSIONFOLD_BOOTSTRAP_SERVERS`` ...), else from the default.

    Raises:
        ConfigurationError: when a setting cannot work, or the client is already in use.
    """
    _process.configure(lambda: _process.made(**settings))


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
    tags: Iterable[str] | None = None,
    datasetitem_id: str | None = None,
    masking_function: Mask | None = None,
    auto_end: bool = True,
    capture_uncaught: bool = True,
) -> str:
    """Start a session, or resume ``session_id``, and make it current here.

    Args:
        session_name: a name for people.
        session_id: the session to resume; None starts a new one with a new UUID.
        agent_id: the agent that the session runs; any text.
        task: what the session is doing now.
        experiment_id: the experiment that the session is part of; any text.
        tags: words to find the session by: a list or tuple of str. An empty one says that there are
            none; one that is given when the session is resumed takes the place of the former.
        datasetitem_id: the item of a data set that the session works on; any text.
        masking_function: applied to every free text of this session before it is published; None
            keeps the one that this process knows of the session, if any.
        auto_end: whether a normal end of the process ends the session, without an opinion on its
            success.
        api_key, providers, production_monitoring, evaluators, capture_uncaught: accepted and
            ignored.

    Returns:
        The session's ID.

    Raises:
        InvalidFieldError: when an argument cannot be a field's value; nothing was published.
        ConfigurationError: when the client's settings cannot work.
    """
    client = _process.client()
    if client.disabled:
        return _begin_nothing(client, session_id)
    identifier = new_session_id() if session_id is None else checked_id(session_id)
    ends = truth("auto_end", auto_end)
    if masking_function is not None and not callable(masking_function):
        raise InvalidFieldError("masking_function", "cannot be called; accepted is a function")
    session = client.session(identifier)
    session.is_new = session_id is None
    session.is_placed = False  # another process may have gone on with it since
    mask = session.mask if masking_function is None else masking_function
    fields = checked_fields(
        client, mask,
        session_name=session_name, task=task, agent_id=agent_id, experiment_id=experiment_id,
        datasetitem_id=datasetitem_id, tags=listed("tags", tags),
    )  # fmt: skip
    _say_ignored(
        client,
        api_key=api_key, providers=providers, evaluators=evaluators,
        production_monitoring=None if production_monitoring is False else True,
        capture_uncaught=None if capture_uncaught is True else False,
    )  # fmt: skip
    session.mask, session.auto_end, session.has_verdict = mask, ends, False
    _begin(client, session, fields)
    return identifier


def update_session(  # noqa: C901, PLR0912, PLR0915 - written out: the call in workers' loops
    task: str | None = None,
    session_eval: Number | None = None,
    session_eval_reason: str | None = None,
    is_successful: Flag | None = None,
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
    if client.disabled:
        return
    # Written out where checked_fields() would do: this is the call that workers make in loops.
    current = current_session_id.get() if session_id is None else None
    if type(current) is CurrentSession and not current.session.ended:
        session = current.session
    else:
        session = _session(client, session_id)
    mask = session.mask
    if mask is not None:
        task = masked(client, mask, task)
        session_eval_reason = masked(client, mask, session_eval_reason)
        is_successful_reason = masked(client, mask, is_successful_reason)
    fields: dict[str, Any] = {}
    values, size = client.values, EVENT_BYTES
    short = values.surely_short
    # What a short text holds is looked at by the sender: whatever it is, it can be published.
    if task is not None:
        if type(task) is not str or len(task) > short:
            task = values.text("task", task)
        fields["task"] = task
        size += len(task)
    if session_eval is not None:
        if type(session_eval) is not float or session_eval - session_eval != 0.0:
            session_eval = values.number("session_eval", session_eval)
        fields["session_eval"] = session_eval + 0.0  # -0.0 becomes 0.0
    if session_eval_reason is not None:
        if type(session_eval_reason) is not str or len(session_eval_reason) > short:
            session_eval_reason = values.text("session_eval_reason", session_eval_reason)
        fields["session_eval_reason"] = session_eval_reason
        size += len(session_eval_reason)
    if is_successful is not None:
        fields["is_successful"] = values.flag("is_successful", is_successful)
    if is_successful_reason is not None:
        if type(is_successful_reason) is not str or len(is_successful_reason) > short:
            is_successful_reason = values.text("is_successful_reason", is_successful_reason)
        fields["is_successful_reason"] = is_successful_reason
        size += len(is_successful_reason)
    if fields:
        client.publish(session, fields, size)
        if is_successful is not None:
            session.has_verdict = True


def end_session(
    session_eval: Number | None = None,
    session_eval_reason: str | None = None,
    is_successful: Flag | None = None,
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
    waits = end_waits(wait_for_flush)
    ended = end_current(
        session_id,
        session_eval=session_eval,
        session_eval_reason=session_eval_reason,
        is_successful=is_successful,
        is_successful_reason=is_successful_reason,
    )
    if ended is not None and waits:
        wait_until_settled(ended)


def get_session_id() -> str | None:
    """Return the ID of the session that a call here would belong to, or None."""
    try:
        found = resolve(_process.open_sessions())
    except NoActiveSessionError:
        return None
    return found.id if isinstance(found, Session) else found


def flush(timeout_seconds: float = 2.0) -> bool:
    """Wait until everything accepted so far is delivered.

    Returns:
        True when it was; False when the time ran out, or an event was dropped since the last flush.

    Raises:
        ClosedError: after :func:`shutdown`, whose losses are in :func:`stats`.
    """
    bound = seconds("timeout_seconds", timeout_seconds)
    client = _process.client_in_use()
    return client is None or client.flush(bound)


def shutdown(timeout_seconds: float | None = None) -> None:
    """Do what a normal exit does: end sessions, deliver what can be delivered in time, close.

    Sessions that this process began with ``auto_end`` and did not end are ended, without an opinion
    on success. Later calls that publish or flush raise ``ClosedError``.

    Args:
        timeout_seconds: the bound; None is the setting ``exit_timeout_seconds``.
    """
    bound = None if timeout_seconds is None else seconds("timeout_seconds", timeout_seconds)
    client = _process.existing
    if client is not None:
        _process.close(client.configuration.exit_timeout_seconds if bound is None else bound)


def stats() -> Stats:
    """Return what became of this process's events so far; also after :func:`shutdown`."""
    from ._stats import Stats

    client = _process.last()
    return Stats() if client is None else client.stats()


def end_own_sessions(client: Client) -> None:
    """End the sessions begun in this process with ``auto_end``, with no opinion on success."""
    for own in list(client.open_sessions.values()):
        if own.auto_end and own.pid == os.getpid():
            publish_end(client, own, {})


def end_current(session_id: str | None, **given: object) -> Session | None:
    """Do what :func:`end_session` does, but do not wait; return the session, None if disabled."""
    client = _process.client()
    if client.disabled:
        return None
    session = _session(client, session_id)
    publish_end(client, session, checked_fields(client, session.mask, **given))
    leave(session)
    return session


def publish_end(client: Client, session: Session, fields: dict[str, Any]) -> None:
    """Publish the end of ``session`` with its final values."""
    ending = fields | {"is_finished": True, "ended_at": time.time_ns() // 1000}
    client.publish(session, ending, charged(ending), urgent=True)
    client.end(session)


def end_waits(wait_for_flush: bool | None = None) -> bool:
    """Return whether an end waits for delivery: as asked for, else as configured."""
    if wait_for_flush is None:
        return _process.client().configuration.end_waits
    return truth("wait_for_flush", wait_for_flush)


def wait_until_settled(session: Session) -> None:
    """Wait, with the configured bound, until this session's events are delivered or dropped."""
    client = _process.last()
    if client is not None:
        client.flush_session(session, client.configuration.end_timeout_seconds)


def _begin_nothing(client: Client, session_id: object) -> str:
    """Make a session current that nothing is published of."""
    identifier = session_id if isinstance(session_id, str) else new_session_id()
    nest(client.session(identifier))
    return identifier


def _begin(client: Client, session: Session, fields: dict[str, Any]) -> None:
    session.pid = os.getpid()
    nest(session)
    client.begin(session)
    fields |= {"is_finished": False, "started_at": time.time_ns() // 1000}
    client.publish(session, fields, charged(fields), urgent=True)


def _session(client: Client, session_id: str | None) -> Session:
    if session_id is not None:
        return client.session(checked_id(session_id))
    current = current_session_id.get()
    if type(current) is CurrentSession and not current.session.ended:
        return current.session
    found = resolve(client.open_sessions)
    return found if isinstance(found, Session) else client.session(found)


def _say_ignored(client: Client, **arguments: object) -> None:
    names = sorted(name for name, value in arguments.items() if value is not None)
    if names and not client.said_ignored:
        client.said_ignored = True
        logger.debug("init() ignores these arguments: %s", ", ".join(names))
