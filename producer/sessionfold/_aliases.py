"""Further names of the surface that workers were written against; each does what another does."""

from __future__ import annotations

from . import _process
from ._blocks import clear_active_session, settled
from ._calls import end_current, end_waits, get_session_id, init, shutdown, update_session
from ._fields import Flag, Number

create_session = init
get_session = get_session_id


async def aupdate_session(
    task: str | None = None,
    session_eval: Number | None = None,
    session_eval_reason: str | None = None,
    is_successful: Flag | None = None,
    is_successful_reason: str | None = None,
    session_id: str | None = None,
) -> None:
    """:func:`update_session` to be awaited; that one never waits, so calling it is as good."""
    update_session(
        task,
        session_eval,
        session_eval_reason,
        is_successful,
        is_successful_reason,
        session_id,
    )


async def aend_session(
    session_eval: Number | None = None,
    session_eval_reason: str | None = None,
    is_successful: Flag | None = None,
    is_successful_reason: str | None = None,
    wait_for_flush: bool | None = None,
    session_id: str | None = None,
) -> None:
    """:func:`end_session` to be awaited; a wait for delivery leaves the event loop free."""
    waits = end_waits(wait_for_flush)
    ended = end_current(
        session_id,
        session_eval=session_eval,
        session_eval_reason=session_eval_reason,
        is_successful=is_successful,
        is_successful_reason=is_successful_reason,
    )
    if ended is not None and waits:
        await settled(ended)


def clear_state() -> None:
    """Deliver and close as :func:`shutdown` does and make no session current; a next init works."""
    shutdown()
    _process.forget()
    clear_active_session()
