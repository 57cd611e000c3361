"""Report on a session while it runs: ``init``, ``update_session``, ``end_session``.

::

    import sessionfold as lai

    lai.init(session_name="Customer Support", task="Handle customer inquiry")
    lai.update_session(task="Resolve billing dispute", session_eval=0.4)
    lai.end_session(is_successful=True, is_successful_reason="refunded $49.99")

Each call publishes one small partial event to Kafka and returns in microseconds. Importing this
package does nothing else: no thread, no connection, no handler.
"""

import logging as _logging
from typing import TYPE_CHECKING as _TYPE_CHECKING

from ._aliases import (
    aend_session,
    aupdate_session,
    clear_state,
    create_session,
    get_session,
)
from ._blocks import (
    bind_session,
    bind_session_async,
    clear_active_session,
    run_in_session,
    run_session,
    session,
    session_async,
    set_active_session,
)
from ._calls import (
    configure,
    end_session,
    flush,
    get_session_id,
    init,
    shutdown,
    stats,
    update_session,
)
from ._session import current_session_id
from .errors import (
    APIKeyVerificationError,
    ClosedError,
    ConfigurationError,
    InvalidFieldError,
    InvalidOperationError,
    LucidicError,
    LucidicNotInitializedError,
    NoActiveSessionError,
    NotInitializedError,
    SessionfoldError,
)

if _TYPE_CHECKING:
    from ._config import Configuration
    from ._stats import Failure, Stats

    __version__: str

__all__ = [
    "APIKeyVerificationError",
    "ClosedError",
    "Configuration",
    "ConfigurationError",
    "Failure",
    "InvalidFieldError",
    "InvalidOperationError",
    "LucidicError",
    "LucidicNotInitializedError",
    "NoActiveSessionError",
    "NotInitializedError",
    "SessionfoldError",
    "Stats",
    "aend_session",
    "aupdate_session",
    "bind_session",
    "bind_session_async",
    "clear_active_session",
    "clear_state",
    "configure",
    "create_session",
    "current_session_id",
    "end_session",
    "flush",
    "get_session",
    "get_session_id",
    "init",
    "run_in_session",
    "run_session",
    "session",
    "session_async",
    "set_active_session",
    "shutdown",
    "stats",
    "update_session",
]

_logging.getLogger("sessionfold").addHandler(_logging.NullHandler())


def __getattr__(name: str) -> object:
    """Load what is seldom needed (and needs pydantic or the Kafka client) when it is asked for."""
    if name in {"Failure", "Stats"}:
        from . import _stats

        return getattr(_stats, name)
    if name == "Configuration":
        from ._config import Configuration

        return Configuration
    if name == "__version__":
        from importlib.metadata import version

        return version("sessionfold")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
