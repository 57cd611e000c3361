"""The one client of this process: made on first use, closed at exit, left behind by a fork."""

from __future__ import annotations

import _thread
import atexit
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from . import _inherited
from .errors import ClosedError, ConfigurationError, NotInitializedError

if TYPE_CHECKING:
    from types import FrameType

    from ._client import Client
    from ._session import Session

logger = logging.getLogger("sessionfold")

_lock = threading.RLock()
existing: Client | None = None
"""This process's client; None when nothing has needed one yet, or it was closed."""

_closed: Client | None = None
_parents: list[Client] = []
_is_loading = False
_forking: list[bool] = []
_FORK_SECONDS = 5.0
_AGAIN_SECONDS = 0.005


def client() -> Client:
    """Return this process's client; the first call makes it from the environment.

    Raises:
        ConfigurationError: when a setting cannot work.
        ClosedError: after :func:`close`.
    """
    return existing or _make_client()


def client_in_use() -> Client | None:
    """Return this process's client; None when nothing has needed one.

    Raises:
        ClosedError: after :func:`close`.
    """
    if existing is None and _closed is not None:
        raise ClosedError
    return existing


def last() -> Client | None:
    """Return this process's client, also a closed one; None when nothing has needed one."""
    return existing or _closed


def open_sessions() -> Mapping[str, Session]:
    """Return the sessions begun (here or before a fork) and not ended, without making a client."""
    if existing is None and _parents:
        return _parents[-1].open_sessions
    return existing.open_sessions if existing is not None else {}


def configure(make: Callable[[], Client]) -> None:
    """Make this process's client with ``make``.

    Raises:
        ConfigurationError: when there is one already.
    """
    with _lock:
        took = existing is None and _take(make)
        client = existing
    if not took or client is None:
        raise ConfigurationError(
            "sessionfold is already in use; configure it before the first init()"
        )
    _settle_in(client)


def close(timeout_seconds: float) -> None:
    """End the sessions begun here, without an opinion on success; deliver and close.

    Does nothing when no client is in use. Later calls raise.
    """
    global existing, _closed
    from ._calls import end_own_sessions

    with _lock:
        closing = existing
        if closing is None:
            return
        existing, _closed = None, closing
    end_own_sessions(closing)
    closing.close(timeout_seconds)


def forget() -> None:
    """Let the next call make a new client, as if there had been none."""
    global _closed
    with _lock:
        _closed = None
        _parents.clear()


@contextmanager
def replaced(replacement: Client | None) -> Iterator[None]:
    """Put another client in this one's place for the block (for ``testing``).

    What the block closes is closed in the block only.
    """
    global existing, _closed
    entered_in = os.getpid()
    with _lock:
        previous = existing, _closed
        existing, _closed = replacement, None
    try:
        yield
    finally:
        with _lock:
            made_within = existing
            existing, _closed = previous
            if existing is not None and os.getpid() != entered_in:
                # A child that leaves the block has no thread of its parent's.
                _parents.append(existing)
                existing = None
        if made_within is not None and made_within is not replacement:
            made_within.close(made_within.configuration.exit_timeout_seconds)


def _make_client() -> Client:
    with _lock:
        if _closed is not None:
            raise ClosedError
        took = existing is None and _take(_from_parent if _parents else made)
        client = existing
    assert client is not None  # noqa: S101 - it has just been made
    if took:
        _settle_in(client)
    return client


def _take(make: Callable[[], Client]) -> bool:
    """Make the client, with the lock held; return whether it is this process's.

    It is not when a finalizer or a signal handler has called in meanwhile, and has made another.
    """
    global existing, _closed
    _prepare_process()
    _load_modules()
    client = make()
    if existing is not None:
        client.close(0)
        return False
    existing, _closed = client, None
    return True


def _load_modules() -> None:
    """Import and load all that is needed later, here and once: with the lock that forks wait for.

    Raises:
        NotInitializedError: in a call that came in the middle of this, in the same thread.
    """
    global _is_loading
    if _is_loading:
        raise NotInitializedError("sessionfold is being imported by this thread; call again later")
    _is_loading = True
    try:
        from . import _client, _values

        _client.load_contract()
        _values.number_adapter()
    finally:
        _is_loading = False


def _settle_in(client: Client) -> None:
    """Do what may write to the log, which nobody may do with the lock held."""
    if client.configuration.flush_on_sigterm:
        _flush_on_sigterm()


def made(**settings: Any) -> Client:  # noqa: ANN401 - see Configuration
    """Return a new client with these settings; those that are not given are the environment's."""
    from ._client import Client
    from ._config import load

    return Client(load(**settings))


def _from_parent() -> Client:
    from ._client import Client

    parent = _parents[-1]
    child = Client(parent.configuration, parent.make_publisher, threaded=parent.threaded)
    child.inherit(parent.open_sessions)
    return child


def _prepare_process() -> None:
    _follow_forks()
    _register_at_exit(os.getpid())


def _send_again(number: int) -> None:
    time.sleep(_AGAIN_SECONDS)
    os.kill(os.getpid(), number)


@cache
def _flush_on_sigterm() -> None:
    """Let SIGTERM deliver or spool what waits, and then do what it did before.

    Only where a handler can be set: in the main thread. A signal that is ignored stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        logger.warning("flush_on_sigterm needs the first call to be in the main thread; it is off")
        return
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_IGN or before is None:
        return

    def flush_and_go_on(number: int, frame: FrameType | None) -> None:
        if existing is not None and existing.inbox.is_locked_here():
            # The sender could do nothing while this waits for it: come back in a moment.
            _thread.start_new_thread(_send_again, (number,))
            return
        if callable(before):
            if existing is not None:
                existing.flush(existing.configuration.exit_timeout_seconds)
            before(number, frame)
            return
        if existing is not None:
            existing.close(existing.configuration.exit_timeout_seconds)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, flush_and_go_on)


@cache
def _follow_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=_before_fork, after_in_parent=_release, after_in_child=_after_fork
        )


@cache
def _register_at_exit(_pid: int) -> None:
    """See that :func:`_at_exit` runs at the end of this process, whichever kind it is.

    A child of multiprocessing ends by ``os._exit``: before Python 3.13 it runs no atexit handler,
    and since then those only that were registered in it; its own finalizers it always runs.
    Importing neither, this looks whether they were imported.
    """
    atexit.register(_at_exit)
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing.util import Finalize

        Finalize(None, _at_exit, exitpriority=0)
    celery = sys.modules.get("celery.signals")
    if celery is not None:
        # A worker of Celery's pool ends by os._exit, with this signal before it and no other hook.
        celery.worker_process_shutdown.connect(_at_worker_exit, weak=False)


def _at_worker_exit(**_: object) -> None:
    _at_exit()


def _at_exit() -> None:
    ending = existing
    if ending is None:
        return
    try:
        close(ending.configuration.exit_timeout_seconds)
    except KeyboardInterrupt:
        # Who presses Ctrl+C now does not want to wait, nor to read a traceback of ours.
        logger.warning("not waited for: %d events without a report", ending.stats().in_flight)


def _before_fork() -> None:
    """Let a client that another thread is making be made.

    It imports what is needed then, and a child that was forked meanwhile would wait for ever for
    the import locks of a thread that it does not have. With a bound: a fork is never stopped.
    """
    _forking.append(_lock.acquire(timeout=_FORK_SECONDS))


def _release() -> None:
    if _forking.pop():
        _lock.release()


def _after_fork() -> None:
    """Leave the parent's client alone: its thread and connections are not in this process.

    It is kept, not freed, as are those that were closed before (see :mod:`._inherited`). The
    parent's open sessions stay known, so that the child may go on with them through a client of
    its own.
    """
    global existing, _lock, _is_loading
    _inherited.keep()
    _lock = threading.RLock()
    _is_loading = False
    _forking.clear()
    parent, existing = existing, None
    if parent is not None:
        parent.abandon()
        _parents.append(parent)
