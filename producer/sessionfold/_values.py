"""From what a caller gave to what an event can carry.

The common case (a clean ``str``, a finite ``float``, a ``bool``) is decided in a few comparisons;
anything else takes the converting path, for which pydantic is imported when it is first needed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from .errors import InvalidFieldError

CUT_MARK = " …[cut]"
"""Ends a text that was longer than the limit."""

_REPLACEMENT = "\ufffd"


class Values:
    """Checks and converts values, and counts what had to be changed. Safe to share by threads."""

    def __init__(self, text_limit_bytes: int) -> None:
        self.text_limit_bytes = text_limit_bytes
        self.texts_cut = 0
        self.texts_repaired = 0
        self.surely_short = text_limit_bytes // 4
        """A text of so many characters is within the limit, whichever they are."""

    def text(self, field: str, value: Any) -> str:  # noqa: ANN401 - a caller's value
        """Return a text of at most ``text_limit_bytes`` UTF-8 bytes that every store can hold.

        U+0000 and lone surrogates become U+FFFD; a longer text is cut and marked.

        Raises:
            InvalidFieldError: when ``value`` is not a str.
        """
        if type(value) is str and len(value) <= self.surely_short and "\0" not in value:
            if value.isascii():
                return value
            try:
                value.encode()
            except UnicodeEncodeError:
                pass
            else:
                return value
        return self._convert_text(field, value)

    def repair(self, fields: dict[str, Any]) -> None:
        """Do to short texts, which were left as given until now, what :meth:`text` does."""
        for name, value in fields.items():
            if type(value) is str:
                fields[name] = self.text(name, value)

    def number(self, field: str, value: Any) -> float:  # noqa: ANN401 - a caller's value
        """Return a finite float; ints, numeric strings and numpy numbers are converted.

        Raises:
            InvalidFieldError: for NaN, infinity, bool and whatever is no number.
        """
        if type(value) is float and value - value == 0.0:  # false for NaN and infinity
            return value + 0.0  # -0.0 becomes 0.0
        return _convert_number(field, value)

    def flag(self, field: str, value: Any) -> bool:  # noqa: ANN401 - a caller's value
        """Return a bool; ``numpy.bool_`` is converted.

        Raises:
            InvalidFieldError: for everything else, 0 and 1 included.
        """
        if value is True or value is False:
            return value
        if _is_numpy_bool(value):
            return bool(value)
        raise InvalidFieldError(field, f"is {_kind(value)}; accepted are bool and numpy.bool_")

    def _convert_text(self, field: str, value: Any) -> str:  # noqa: ANN401 - a caller's value
        if not isinstance(value, str):
            raise InvalidFieldError(field, f"is {_kind(value)}; accepted is str")
        text = _repaired(str.__str__(value))
        if text != value:
            self.texts_repaired += 1
        data = text.encode()
        if len(data) <= self.text_limit_bytes:
            return text
        self.texts_cut += 1
        room = self.text_limit_bytes - len(CUT_MARK.encode())
        return data[:room].decode(errors="ignore") + CUT_MARK


def _repaired(text: str) -> str:
    clean = text.replace("\0", _REPLACEMENT)
    try:
        clean.encode()
    except UnicodeEncodeError:
        return "".join(_REPLACEMENT if "\ud800" <= c <= "\udfff" else c for c in clean)
    return clean


def _convert_number(field: str, value: Any) -> float:  # noqa: ANN401 - a caller's value
    from pydantic import ValidationError

    accepted = "accepted are finite numbers: float, int, a numeric string, a numpy number"
    # Beyond what is documented, pydantic accepts bytes, and numpy arrays of one number.
    if isinstance(value, bool | bytes) or _is_numpy_bool(value) or _is_array(value):
        raise InvalidFieldError(field, f"is {_kind(value)}; {accepted}")
    try:
        return float(_number_adapter().validate_python(value)) + 0.0
    except ValidationError:
        problem = "not a finite number" if _may_be_number(value) else _kind(value)
        raise InvalidFieldError(field, f"is {problem}; {accepted}") from None


@cache
def _number_adapter() -> Any:  # noqa: ANN401 - pydantic is not imported at module level
    from pydantic import FiniteFloat, TypeAdapter

    return TypeAdapter(FiniteFloat)


def _is_numpy_bool(value: object) -> bool:
    kind = type(value)
    return kind.__module__ == "numpy" and kind.__name__ in ("bool", "bool_")


def _may_be_number(value: object) -> bool:
    """Say whether it is the value that is wrong, and not its type."""
    from decimal import Decimal
    from numbers import Real

    of_numpy = getattr(value, "dtype", None)
    return isinstance(value, str | Real | Decimal) or getattr(of_numpy, "kind", None) == "f"


def _is_array(value: object) -> bool:
    return bool(getattr(value, "ndim", 0))


def _kind(value: object) -> str:
    return f"of type {type(value).__qualname__}"
