"""Each value is published as documented, or refused with nothing published."""

from __future__ import annotations

import math
import struct
import warnings
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sessionfold as lai
from sessionfold import testing
from sessionfold._values import CUT_MARK
from sessionfold.testing import Events
from tests.ids import shown

SURROGATES: tuple[Literal["Cs"]] = ("Cs",)
TEXT_FIELDS = ("task", "session_eval_reason", "is_successful_reason")


class Colour(StrEnum):
    """A text that is more than a str."""

    RED = "red"


class Broken:
    """No number, whatever it says."""

    def __float__(self) -> float:
        """Fail."""
        raise RuntimeError("broken")


def published(**fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any value
    """Return what an update with these fields publishes."""
    with testing.record() as events:
        lai.init()
        lai.update_session(**fields)
        return dict(events[1])


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (0.4, 0.4),
        (9, 9.0),
        (-3, -3.0),
        ("4.5", 4.5),
        (" 1e3 ", 1000.0),
        (np.float64(0.5), 0.5),
        (np.float32(0.5), 0.5),
        (np.float16(0.5), 0.5),
        (np.int64(7), 7.0),
        (np.uint8(7), 7.0),
        (np.array(0.5), 0.5),
        (Decimal("0.25"), 0.25),
        (Fraction(1, 4), 0.25),
        (1e308, 1e308),
        (5e-324, 5e-324),
        (2**53 + 1, float(2**53)),
        (10**308, 1e308),
        ("+1", 1.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("1_000", 1000.0),
        (" 4.5 \n", 4.5),
        ("1e-400", 0.0),
        (np.str_("4.5"), 4.5),
        (np.longdouble("0.5"), 0.5),
        (Decimal("1e-400"), 0.0),
        (Fraction(1, 3), 1 / 3),
    ],
)
def test_numbers_are_converted_to_float(value: Any, number: float) -> None:  # noqa: ANN401
    """Whatever kind of number it was; the type is exactly float."""
    result = published(session_eval=value)["session_eval"]
    assert (result, type(result)) == (number, float)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_finite_number_is_published_as_it_is(number: float) -> None:
    """Negative, huge and tiny ones included; there is one zero."""
    result = published(session_eval=number)["session_eval"]
    assert result == number
    assert math.copysign(1, result) == (1 if number == 0 else math.copysign(1, number))


@pytest.mark.parametrize("zero", [-0.0, "-0", np.float64(-0.0)], ids=shown)
def test_there_is_one_zero_on_the_wire(zero: Any) -> None:  # noqa: ANN401
    """Events that mean the same are the same bytes, whatever a reader makes of the sign."""
    with testing.record() as events:
        lai.init()
        lai.update_session(session_eval=zero)
        assert len(events) == 2
        value = events._publisher.records[1].value()
    assert struct.pack("<d", -0.0) not in value


@pytest.mark.parametrize(
    "value",
    [
        True, False, np.True_, math.nan, math.inf, -math.inf, np.float64("nan"), np.float32("inf"),
        "", "high", "nan", "inf", "1e400", "0x10", 10**400, b"4.5", 1 + 2j, [0.5], {}, object(),
        Broken(), np.array([0.5]), np.array([0.1, 0.2]), np.datetime64("2020"),
        "NAN ", "Infinity", "-inf", "1__0", "_1", "0x1p3", "١٢", "1,5", "1 000", "1\0", "\ud800",
        10**5000, Decimal("sNaN"), Decimal("1e999"), Fraction(10**400),
        np.longdouble("1e4000"), np.timedelta64(3, "s"), np.bytes_(b"4.5"),
        np.array([]), np.array([[1]]), np.array(None, dtype=object), np.array("x"),
        bytearray(b"1"), memoryview(b"1"), float, ..., NotImplemented, ValueError("1"),
        np.void(b"1"), np.array(True),
    ],
    ids=lambda value: shown(value)[:20] if type(value) is not int else "huge",
)  # fmt: skip
def test_what_is_no_finite_number_is_refused(value: Any, events: Events) -> None:  # noqa: ANN401
    """With the field's name and what is accepted; silently, otherwise: no warning either."""
    lai.init()
    with pytest.raises(
        lai.InvalidFieldError, match=r"^session_eval is .*; accepted are "
    ) as caught:
        lai.update_session(task="t", session_eval=value)
    assert caught.value.field == "session_eval"
    assert len(events) == 1
    assert lai.stats().accepted == 1


def test_the_error_says_what_the_value_was() -> None:
    """Its type when that is wrong, else that it is no finite number; never the value itself."""
    not_finite = "not a finite number"
    for value, problem in (
        (True, "of type bool"),
        (b"4.5", "of type bytes"),
        (1 + 2j, "of type complex"),
        (Broken(), "of type Broken"),
        (math.nan, not_finite),
        ("nan", not_finite),
        ("inf", not_finite),
        ("", not_finite),
        ("secret", not_finite),
        (10**400, not_finite),
        (Decimal("NaN"), not_finite),
        (Fraction(10**400), not_finite),
        (np.float32("inf"), not_finite),
        (np.array(math.nan), not_finite),
    ):
        with pytest.raises(lai.InvalidFieldError) as caught:
            published(session_eval=value)
        assert str(caught.value) == (
            f"session_eval is {problem}; accepted are finite numbers: "
            "float, int, a numeric string, a numpy number"
        )


@pytest.mark.parametrize("value", [True, False, np.True_, np.False_])
def test_flags_are_published_as_bool(value: Any) -> None:  # noqa: ANN401
    """Also numpy's, which a comparison of its numbers gives."""
    assert published(is_successful=value)["is_successful"] is bool(value)


@pytest.mark.parametrize(
    "value",
    [0, 1, 0.0, "true", "", [], np.int64(1), np.array([True]), np.array(True), b"1", ..., bool],
    ids=shown,
)
def test_what_is_no_bool_is_refused(value: Any, events: Events) -> None:  # noqa: ANN401
    """An error that names field, type and what is accepted: a 1 may be a count."""
    lai.init()
    kind = type(value).__qualname__
    problem = f"^is_successful is of type {kind}; accepted are bool and numpy.bool_$"
    with pytest.raises(lai.InvalidFieldError, match=problem):
        lai.end_session(is_successful=value)
    assert len(events) == 1
    lai.update_session(task="still open")


@pytest.mark.parametrize("field", TEXT_FIELDS)
@pytest.mark.parametrize("value", [7, 0.5, True, b"text", ["text"], object()], ids=shown)
def test_what_is_no_text_is_refused(field: str, value: Any, events: Events) -> None:  # noqa: ANN401
    """By update and, for the reasons, by end; nothing of the call is published."""
    lai.init()
    problem = f"^{field} is of type {type(value).__qualname__}; accepted is str$"
    with pytest.raises(lai.InvalidFieldError, match=problem):
        lai.update_session(session_eval=0.5, **{field: value})
    assert len(events) == 1


def test_init_holds_its_texts_to_the_same_rule(events: Events) -> None:
    """No session begins by a call that failed."""
    for field in ("session_name", "task"):
        with pytest.raises(lai.InvalidFieldError, match=f"^{field} is of type int"):
            lai.init(**{field: 7})  # type: ignore[arg-type]
    assert lai.get_session_id() is None
    assert len(events) == 0


@given(st.text(st.characters(exclude_categories=SURROGATES, exclude_characters="\0"), max_size=50))
def test_text_is_published_as_it_is(text: str) -> None:
    """In any script, empty too, and never normalised."""
    assert published(task=text)["task"] == text


@given(st.text(st.sampled_from("\0\ud800\udbff\udc00\udfffaé漢🙂"), max_size=8))
def test_what_no_store_can_hold_is_replaced_and_counted(text: str) -> None:
    """U+0000 and lone surrogates become U+FFFD, one for one."""
    expected = "".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text)
    with testing.record() as events:
        lai.init()
        lai.update_session(task=text)
        assert events[1]["task"] == expected
        assert lai.stats().texts_repaired == int(expected != text)


def test_text_of_another_type_is_published_as_plain_text() -> None:
    """A subclass of str is its characters."""
    assert published(task=Colour.RED)["task"] == "red"
    assert published(task=np.str_("red"))["task"] == "red"


@given(st.text(st.sampled_from("aé漢🙂"), min_size=10, max_size=60))
def test_long_text_is_cut_at_a_character_marked_and_counted(text: str) -> None:
    """It is never longer than the limit, and holds as much of the text as fits."""
    limit = 64
    with testing.record(text_limit_bytes=limit) as events:
        lai.init()
        lai.update_session(task=text)
        result, cut = events[1]["task"], lai.stats().texts_cut
    size = len(text.encode())
    assert cut == int(size > limit)
    if not cut:
        assert result == text
        return
    kept = result.removesuffix(CUT_MARK)
    assert kept != result
    assert text.startswith(kept)
    room = limit - len(result.encode())
    assert 0 <= room < len(text[len(kept)].encode())


def test_the_limit_is_64_kibibytes_by_default() -> None:
    """Exactly: one byte more is cut."""
    assert published(task="x" * 65_536)["task"] == "x" * 65_536
    assert len(published(task="x" * 65_537)["task"].encode()) <= 65_536
    assert published(task="x" * 65_537)["task"].endswith(CUT_MARK)


def test_four_texts_at_their_longest_make_a_record_that_is_read() -> None:
    """The greatest limit that can be configured still gives valid events."""
    with testing.record(text_limit_bytes=262_144) as events:
        lai.init(session_id="x" * 512, session_name="x" * 262_144, task="x" * 262_144)
        longest: dict[str, Any] = dict.fromkeys(TEXT_FIELDS, "x" * 262_144)
        lai.update_session(**longest)
        assert [len(events[1][field]) for field in TEXT_FIELDS] == [262_144] * 3


def test_a_refused_array_gives_no_warning() -> None:
    """Numbers in arrays: numpy warns when one is used as a number; workers need not see it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(lai.InvalidFieldError):
            published(session_eval=np.array([0.5]))
    assert caught == []
