"""Values that raise, lie about what they are, or override what a str or a number does.

Real ones: a request-local proxy outside its request raises on each access, also of ``__class__``; a
tensor on a lost device raises in ``__float__``; a str subclass of a template engine overrides most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

import sessionfold as lai
from sessionfold import testing

ERRORS = (RuntimeError, TypeError, ValueError, AttributeError, KeyError, OverflowError, OSError)

METHODS = (
    "__bool__", "__contains__", "__eq__", "__float__", "__getitem__", "__hash__", "__index__",
    "__int__", "__iter__", "__len__", "__ne__", "__repr__", "__str__", "__add__", "__sub__",
    "__getattr__", "encode", "isascii", "item", "replace", "strip",
)  # fmt: skip

PROPERTIES = ("__class__", "dtype", "ndim", "shape")

BASES: dict[type, Callable[[], st.SearchStrategy[Any]]] = {
    object: st.nothing,
    str: lambda: st.text(max_size=5) | st.sampled_from(("4.5", "1_000", "nan", "\0", "\ud800")),
    int: st.integers,
    float: st.floats,
    bytes: lambda: st.binary(max_size=5),
    list: lambda: st.lists(st.integers(), max_size=2),
    Decimal: st.decimals,
    Fraction: st.fractions,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Hostile:
    """How to make a hostile value; it can be shown where the value itself cannot.

    Attributes:
        base: the type that it derives from.
        arguments: what the base is made of.
        raising: which of its methods and properties raise ``error``.
    """

    base: type
    arguments: tuple[Any, ...] = ()
    raising: tuple[str, ...] = ()
    error: type[Exception] = RuntimeError

    def make(self) -> Any:  # noqa: ANN401 - that is the point
        """Return a new value of this kind."""

        def fail(*_: object) -> None:
            raise self.error("hostile")

        members: dict[str, object] = {
            name: property(fail) if name in PROPERTIES else fail for name in self.raising
        }
        return type("Hostile", (self.base,), members)(*self.arguments)


@st.composite
def hostile(draw: st.DrawFn) -> Hostile:
    """Any base, with any of its behaviour broken."""
    base = draw(st.sampled_from(list(BASES)))
    content = () if base is object else (draw(BASES[base]()),)
    names = st.lists(st.sampled_from(METHODS + PROPERTIES), unique=True, max_size=6)
    return Hostile(
        base=base,
        arguments=content,
        raising=tuple(draw(names)),
        error=draw(st.sampled_from(ERRORS)),
    )


class LyingText(str):
    """A str that is another one to whoever asks it."""

    __slots__ = ()

    def __str__(self) -> str:
        """Lie."""
        return "lie"

    def encode(self, *_: object, **__: object) -> bytes:
        """Lie."""
        return b"lie"

    def isascii(self) -> bool:
        """Lie."""
        return True

    def replace(self, *_: object, **__: object) -> str:
        """Lie."""
        return "lie"

    def __len__(self) -> int:
        return 3

    def __contains__(self, _: object) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other == "lie"

    def __hash__(self) -> int:
        return hash("lie")


class Proxy:
    """Says that it is a str, which it is not: as proxies and some mocks do."""

    @property
    def __class__(self) -> type:
        """Lie."""
        return str

    @__class__.setter
    def __class__(self, _: type) -> None:
        raise AttributeError


class OfNumpy:
    """Has the name of numpy's bool, and is none."""

    def __bool__(self) -> bool:
        """Fail."""
        raise RuntimeError("no truth")


OfNumpy.__module__, OfNumpy.__name__ = "numpy", "bool_"


@contextmanager
def published_or_refused(argument: str) -> Iterator[list[dict[str, Any]]]:
    """Run a call in the block; yield a list that then holds the one event that it published.

    It stays empty when the call was refused: then with the argument's name, nothing was published,
    and the session goes on.
    """
    with testing.record() as events:
        own = lai.init(session_id="own")
        field = argument.split(maxsplit=1)[0]
        published: list[dict[str, Any]] = []
        try:
            yield published
        except lai.InvalidFieldError as error:
            assert error.field == field  # noqa: PT017 - there may be none
            assert len(events) == lai.stats().accepted == 1
            lai.set_active_session(own)
            lai.update_session(task="goes on")
            assert events[1]["task"] == "goes on"
        else:
            assert len(events) == lai.stats().accepted == 2
            published.append(events[1])
