"""From what a caller gave to what an event can carry.

The common case (a clean ``str``, a finite ``float``, a ``bool``) is decided in a few comparisons;
anything else takes the converting path, for which pydantic is imported when it is first needed.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Mapping, Set
from functools import cache
from itertools import islice
from typing import Any

from sessionfold_schemas import MAX_ITEMS

from .errors import InvalidFieldError

CUT_MARK = " …[cut]"
"""Ends a text that was longer than the limit."""

_REPLACEMENT = "\ufffd"
_LONGEST_SECONDS = threading.TIMEOUT_MAX / 4


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

    def texts(self, field: str, items: list[Any]) -> list[str]:
        """Return at most ``MAX_ITEMS`` texts, in all of at most ``text_limit_bytes`` UTF-8 bytes.

        Each is what :meth:`text` makes of it; of a longer list the last ones are left out.

        Raises:
            InvalidFieldError: when an item is not a str.
        """
        kept: list[str] = []
        room = self.text_limit_bytes
        for item in items[:MAX_ITEMS]:
            text = self.text(field, item)
            room -= len(text.encode())
            if room < 0:
                break
            kept.append(text)
        if len(kept) < len(items):
            self.texts_cut += 1
        return kept

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
        given = plain_text(value)
        if given is None:
            raise InvalidFieldError(field, f"is {_kind(value)}; accepted is str")
        text = _repaired(given)
        if text != given:
            self.texts_repaired += 1
        data = text.encode()
        if len(data) <= self.text_limit_bytes:
            return text
        self.texts_cut += 1
        room = self.text_limit_bytes - len(CUT_MARK.encode())
        return data[:room].decode(errors="ignore") + CUT_MARK


def plain_text(value: object) -> str | None:
    """Return the characters of a str, whatever its class makes of them; None for anything else.

    Nothing of the value's own is called: proxies say that they are a str, and then raise.
    """
    if type(value) is str:
        return value
    return str.__str__(value) if issubclass(type(value), str) else None


def listed(field: str, value: Any) -> list[Any] | None:  # noqa: ANN401 - a caller's value
    """Return the items of a list, no more of them than are needed to see that there are too many.

    Raises:
        InvalidFieldError: for a single text, what has no order of its own, or no items, and when an
            item is not a str.
    """
    if value is None:
        return None
    accepted = "accepted is a list, tuple or other iterable of str, but no set"
    if issubclass(type(value), str | bytes | bytearray | Mapping | Set):
        raise InvalidFieldError(field, f"is {_kind(value)}; {accepted}")
    try:
        items = list(islice(value, MAX_ITEMS + 1))
    # Whatever a caller's object raises, it is no list.
    except Exception as error:
        raise InvalidFieldError(field, f"is {_kind(value)}; {accepted}") from error
    for item in items:
        if plain_text(item) is None:
            raise InvalidFieldError(field, f"has an item {_kind(item)}; {accepted}")
    return items


def seconds(argument: str, value: Any) -> float:  # noqa: ANN401 - a caller's value
    """Return a time to wait; below zero is none, and beyond what can be waited is the longest.

    Raises:
        InvalidFieldError: when it is no number.
    """
    try:
        given = math.nan if isinstance(value, str) else float(value)
    except OverflowError:
        given = math.inf
    except Exception:  # noqa: BLE001 - whatever a caller's object raises
        given = math.nan
    if math.isnan(given):
        raise InvalidFieldError(argument, f"is {_kind(value)}; accepted is a number of seconds")
    return min(max(given, 0.0), _LONGEST_SECONDS)


def truth(argument: str, value: Any) -> bool:  # noqa: ANN401 - a caller's value
    """Return whether ``value`` is true.

    Raises:
        InvalidFieldError: when it cannot say.
    """
    try:
        if not issubclass(type(value), str | bytes):  # "no" is true to Python
            return bool(value)
    except Exception as error:
        raise InvalidFieldError(argument, f"is {_kind(value)}; accepted is bool") from error
    raise InvalidFieldError(argument, f"is {_kind(value)}; accepted is bool")


def _repaired(text: str) -> str:
    clean = text.replace("\0", _REPLACEMENT)
    try:
        clean.encode()
    except UnicodeEncodeError:
        return "".join(_REPLACEMENT if "\ud800" <= c <= "\udfff" else c for c in clean)
    return clean


def _convert_number(field: str, value: Any) -> float:  # noqa: ANN401 - a caller's value
    accepted = "accepted are finite numbers: float, int, a numeric string, a numpy number"
    text = plain_text(value)
    if text is None and _is_no_number(value):
        raise InvalidFieldError(field, f"is {_kind(value)}; {accepted}")
    try:
        number = float(value) if text is None else _parsed(text)
    # A number is what Python makes one of; whatever a caller's object raises, it is none.
    except Exception:  # noqa: BLE001
        number = math.nan
    if not math.isfinite(number):
        problem = "not a finite number" if _may_be_number(value) else _kind(value)
        raise InvalidFieldError(field, f"is {problem}; {accepted}")
    return number + 0.0


def _parsed(text: str) -> float:
    return float(number_adapter().validate_python(text))


def _is_no_number(value: object) -> bool:
    """Say whether ``value`` could be made a float of, and yet means something else."""
    kind = type(value)
    if issubclass(kind, bool | bytes | bytearray | memoryview | complex) or _is_numpy_bool(value):
        return True
    if kind.__module__.startswith("numpy.ma"):
        return True
    try:
        return bool(getattr(value, "ndim", 0)) or _dtype_kind(value) not in "iuf"
    except Exception:  # noqa: BLE001 - whatever a caller's object raises
        return True


@cache
def number_adapter() -> Any:  # noqa: ANN401 - pydantic is not imported at module level
    """Return what reads a number from a text."""
    from pydantic import FiniteFloat, TypeAdapter

    return TypeAdapter(FiniteFloat)


def _is_numpy_bool(value: object) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and type(value) is numpy.bool_


def _dtype_kind(value: object) -> str:
    """Return the letter of a numpy value's kind; f, as of a float, for what is not numpy's."""
    return str(getattr(getattr(value, "dtype", None), "kind", "f"))


def _may_be_number(value: object) -> bool:
    """Say whether it is the value that is wrong, and not its type."""
    from decimal import Decimal
    from numbers import Real

    if issubclass(type(value), str | Decimal | Real):
        return True
    numpy = sys.modules.get("numpy")
    of_numpy = numpy is not None and issubclass(type(value), numpy.ndarray | numpy.generic)
    return of_numpy and not _is_no_number(value)


def _kind(value: object) -> str:
    return f"of type {type(value).__qualname__}"
