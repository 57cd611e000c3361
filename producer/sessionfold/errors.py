"""Errors of the SDK.

::

    SessionfoldError (LucidicError)
    ├── ConfigurationError (APIKeyVerificationError)   a setting is missing or wrong
    ├── InvalidFieldError (InvalidOperationError)      a value that no event can carry
    ├── ClosedError                                    a call after shutdown()
    └── NotInitializedError (LucidicNotInitializedError)
        └── NoActiveSessionError                       no session is current here

The names in parentheses are kept for ``except`` clauses written against the SDK that this one
replaces; they are the same classes. Nothing here is raised because a broker is away: that shows in
``stats()``.
"""

from __future__ import annotations


class SessionfoldError(Exception):
    """Base of every error that a call of this package raises."""


class ConfigurationError(SessionfoldError):
    """Raised when a setting has a value that cannot work. Final until the setting changes."""


class InvalidFieldError(SessionfoldError, ValueError):
    """Raised when an argument cannot be a field's value; nothing was published.

    Attributes:
        field: the argument's name.
    """

    def __init__(self, field: str, problem: str) -> None:
        self.field = field
        super().__init__(f"{field} {problem}")

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.field, str(self).removeprefix(f"{self.field} "))


class ClosedError(SessionfoldError):
    """Raised by a call that publishes or flushes after ``shutdown()``."""

    def __init__(self) -> None:
        super().__init__(
            "sessionfold was shut down in this process; call configure() to start again"
        )

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), ()


class NotInitializedError(SessionfoldError):
    """Raised when a call needs something that ``init()`` makes."""


class NoActiveSessionError(NotInitializedError):
    """Raised when no session is current here, or several are and none is bound."""


LucidicError = SessionfoldError
LucidicNotInitializedError = NotInitializedError
InvalidOperationError = InvalidFieldError
APIKeyVerificationError = ConfigurationError
