"""Tuples of one kind, kept by columns: as they are made, and as databases take them.

There may be many, and to make each costs more than all else that is done with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar, overload

T_co = TypeVar("T_co", bound=tuple[Any, ...], covariant=True)


class Columnar(Sequence[T_co]):
    """A sequence of tuples, each made when it is asked for.

    Args:
        make: makes a tuple of its values.
        columns: the values of each of its fields, as many in each; one field at least.
    """

    def __init__(
        self, make: Callable[[Iterable[Any]], T_co], columns: Sequence[Sequence[Any]]
    ) -> None:
        self._make = make
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns[0])

    def __iter__(self) -> Iterator[T_co]:
        return map(self._make, zip(*self.columns, strict=True))

    @overload
    def __getitem__(self, place: int) -> T_co: ...
    @overload
    def __getitem__(self, place: slice) -> list[T_co]: ...
    def __getitem__(self, place: int | slice) -> T_co | list[T_co]:
        found = [column[place] for column in self.columns]
        if isinstance(place, slice):
            return [*map(self._make, zip(*found, strict=True))]
        return self._make(found)


def columns_of(tuples: Iterable[tuple[Any, ...]]) -> Sequence[Sequence[Any]]:
    """Return any tuples of one kind by columns; no column when there is no tuple."""
    if isinstance(tuples, Columnar):
        return tuples.columns if len(tuples) else ()
    return [*zip(*tuples, strict=True)]
