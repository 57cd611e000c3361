"""The set of numbers that an audit keeps for each producer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.answers.numbers import MissingNumbers, Numbers

_numbers = st.lists(st.integers(0, 40))


@given(_numbers, st.one_of(st.none(), st.just(0)))
def test_it_is_a_set(added: list[int], first: int | None) -> None:
    """In whatever order numbers come: new ones are told from those seen, and none is forgotten."""
    numbers, seen = Numbers(), set[int]()
    for number in added:
        assert numbers.add(number, 0) == (number not in seen)
        seen.add(number)
    lowest = first if first is not None else min(seen, default=0)
    missing = {*range(lowest, max(seen, default=0))} - seen
    gaps = numbers.gaps(first)
    assert [n for gap in gaps for n in range(gap.first, gap.last + 1)] == sorted(missing)
    assert sum(gap.size for gap in gaps) == len(missing)
    for gap in gaps:
        assert gap.last + 1 in seen
        assert gap.first - 1 in seen or gap.first == first


@given(st.lists(st.integers(0, 20), unique=True))
def test_a_gap_was_noticed_when_the_first_number_behind_it_came(added: list[int]) -> None:
    """But for numbers that by now lie within a range: then when that range's first one came."""
    numbers, came = Numbers(), {}
    for time, number in enumerate(added):
        numbers.add(number, time)
        came[number] = time
    for gap in numbers.gaps():
        behind = [time for number, time in came.items() if number > gap.last]
        starts = [n for n in came if n > gap.last and n - 1 not in came]
        assert min(behind) <= gap.noticed <= came[min(starts)]


def test_what_arrives_late_between_makes_no_gap_younger() -> None:
    """That something is missing below 10 could be seen when that came."""
    numbers = Numbers()
    for time, number in enumerate((0, 10, 5)):
        numbers.add(number, time)
    assert numbers.gaps() == [MissingNumbers(1, 4, 1), MissingNumbers(6, 9, 1)]


def test_it_keeps_ranges_and_not_numbers() -> None:
    """A million numbers in a row, from either end, are one range."""
    for order in (range(100_000), reversed(range(100_000))):
        numbers = Numbers()
        for number in order:
            numbers.add(number, 0)
        assert len(numbers._firsts) == len(numbers._ends) == len(numbers._times) == 1


def test_a_number_may_be_as_large_as_the_contract_allows() -> None:
    """A hostile one makes a large gap, and no error."""
    numbers = Numbers()
    numbers.add((1 << 63) - 1, 5)
    numbers.add(-(1 << 63), 6)
    [gap] = numbers.gaps()
    assert gap == MissingNumbers(-(1 << 63) + 1, (1 << 63) - 2, 5)
    assert gap.size == (1 << 64) - 2
