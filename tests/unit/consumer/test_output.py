"""How values look on a terminal and in JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sessionfold_schemas as contract
from sessionfold_consumer.cli._output import (
    age,
    human,
    iso,
    print_json,
    print_json_array,
    printable,
)

_SECOND = 1_000_000
_HOSTILE = "\x1b]0;title\x07 \x1b[2J \x9b2J \r\n\t \u202eevil\u2066 \u200b \ufeff \x7f \u2028 é 🙂"
"""Terminal escapes, C0, C1 and bidirectional controls, and two characters that are harmless."""

_json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(st.text() | st.just(_HOSTILE))
def test_printable_text_moves_nothing(text: str) -> None:
    """Nothing is left that a terminal acts on; what is harmless stays as it is."""
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


def test_printable_text_shows_what_was_there() -> None:
    """Hidden characters are written out, so that two IDs that differ look different."""
    assert printable("a\u202eb\x9b\x1b[2J\n") == "a\\u202eb\\x9b\\x1b[2J\\n"
    assert printable(_HOSTILE).endswith("é 🙂")


@given(_json_values)
def test_printed_json_means_the_same_and_moves_nothing(value: object) -> None:
    """Escapes are JSON's own: a program reads the value, a terminal shows no control."""
    one, several = _output_of(print_json, value), _output_of(print_json_array, [value, value])
    assert all(line.isprintable() for line in (one + several).split("\n"))
    assert json.loads(one) == value
    assert json.loads(several) == [value, value]


def test_json_keeps_harmless_characters_readable() -> None:
    """People read JSON, too."""
    assert "é 🙂" in _output_of(print_json, _HOSTILE)
    assert "\\u202e" in _output_of(print_json, _HOSTILE)


def test_an_array_is_one_value_with_an_element_a_line() -> None:
    """Also when it is empty: a program that reads it needs no special case."""
    assert _output_of(print_json_array, []) == "[]\n"
    assert _output_of(print_json_array, [1]) == "[1\n]\n"
    assert _output_of(print_json_array, [1, "x"]) == '[1\n,"x"\n]\n'


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (1, "1970-01-01T00:00:00.000001Z"),
        (-1, "1969-12-31T23:59:59.999999Z"),
        (1_700_000_000_123_456, "2023-11-14T22:13:20.123456Z"),
        (contract.MIN_TIMESTAMP, "0001-01-01T00:00:00.000000Z"),
        (contract.MAX_TIMESTAMP, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_times_are_utc_with_microseconds(microseconds: int, text: str) -> None:
    """To the bounds of what the contract allows."""
    assert iso(microseconds) == text


@pytest.mark.parametrize(
    "microseconds", [contract.MIN_TIMESTAMP - 1, contract.MAX_TIMESTAMP + 1, -(2**73), 2**73]
)
def test_a_time_that_is_in_no_calendar_is_shown_as_its_number(microseconds: int) -> None:
    """A dead letter has whatever timestamp its writer gave it."""
    assert iso(microseconds) == f"{microseconds} us"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "119m"),
        (7200, "2h"),
        (172_799, "47h"),
        (172_800, "2d"),
        (400 * 86_400, "400d"),
    ],
)
def test_ages_have_a_unit_that_fits(seconds: int, text: str) -> None:
    """Two digits of it at least; a clock that is ahead gives no negative age."""
    now = 1_700_000_000 * _SECOND
    assert age(now - seconds * _SECOND, now) == text


def test_values_as_people_read_them() -> None:
    """What was never given is a dash, also where an empty text or zero was given."""
    assert human("task", None) == "-"
    assert human("task", "") == ""
    assert human("session_eval", 0.0) == "0.0"
    assert (human("is_successful", True), human("is_finished", False)) == ("yes", "no")
    assert human("started_at", 0) == "1970-01-01T00:00:00.000000Z"
    assert (human("tags", []), human("tags", ["a", "é"])) == ("[]", '["a", "é"]')
    assert human("tags", ["\u202e"]) == '["\\u202e"]'
    assert human("task", "a\x1b[2J") == "a\\x1b[2J"


def _output_of(print_value: Callable[[Any], None], value: object) -> str:
    with redirect_stdout(io.StringIO()) as output:
        print_value(value)
    return output.getvalue()
