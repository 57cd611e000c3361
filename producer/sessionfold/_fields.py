"""From a call's arguments to checked, masked values by field name."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, SupportsFloat, TypeAlias, TypeVar

from sessionfold_schemas import current

from ._values import plain_text

if TYPE_CHECKING:
    from ._client import Client
    from ._session import Mask
    from ._values import Values

logger = logging.getLogger("sessionfold")

T = TypeVar("T")

MASKED = "[masking failed]"
"""Published in place of a text whose masking function raised."""


class ScalarFlag(Protocol):
    """A ``numpy.bool_``, without numpy."""

    def __bool__(self) -> bool:
        """Return the truth."""

    def item(self, /) -> bool:
        """Return the truth as Python's own bool."""


Number: TypeAlias = SupportsFloat | str
"""What ``session_eval`` accepts: a float, an int, a numeric string, a numpy number."""

Flag: TypeAlias = bool | ScalarFlag
"""What ``is_successful`` accepts."""


def checked_fields(client: Client, mask: Mask | None, /, **given: object) -> dict[str, Any]:
    """Return the values to publish, by field name, of those that are not None.

    Args:
        client: checks the values, and remembers that a mask failed.
        mask: applied to each text before anything else; None leaves them.

    Raises:
        InvalidFieldError: when a value cannot be its field's.
    """
    checks = _checks()
    return {
        name: checks[name](client.values, name, _all_masked(client, mask, value))
        for name, value in given.items()
        if value is not None
    }


def masked(client: Client, mask: Mask | None, value: T) -> T | str:
    """Return a text as ``mask`` makes it, and any other value as it is."""
    given = plain_text(value)
    if mask is None or given is None:
        return value
    try:
        text = mask(given)
    # A masking function is the worker's own code: whatever it raises must not reach the worker.
    except Exception as error:  # noqa: BLE001
        return _placeholder(client, f"raised {type(error).__name__}")
    if not isinstance(text, str):
        return _placeholder(client, f"returned {type(text).__name__}, not a str")
    return text


def _all_masked(client: Client, mask: Mask | None, value: object) -> object:
    """Return a text, or each text of a list, as ``mask`` makes it, and any other value as it is."""
    if type(value) is list:
        return [masked(client, mask, item) for item in value]
    return masked(client, mask, value)


def _placeholder(client: Client, problem: str) -> str:
    if not client.masking_failed:
        client.masking_failed = True
        logger.warning("a masking function %s; a placeholder is published", problem)
    return MASKED


@cache
def _checks() -> dict[str, Callable[[Values, str, Any], Any]]:
    from ._values import Values

    by_type: dict[str, Callable[[Values, str, Any], Any]] = {
        "string": Values.text,
        "strings": Values.texts,
        "double": Values.number,
        "boolean": Values.flag,
    }
    return {
        field.name: by_type[field.type] for field in current().state_fields if field.type in by_type
    }
