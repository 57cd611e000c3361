"""What breaks UTF-8, for many texts at once: where Python's own decoder says so, for each."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.utf8 import LONGEST_BYTES, breaks

BEHIND = b"\n" * (LONGEST_BYTES - 1)
TELLING = [
    *(0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xE1),
    *(0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xF7, 0xF8, 0xFF),
]
"""The first and the last byte of each kind that RFC 3629 tells apart."""


@pytest.mark.parametrize(
    ("size", "values"), [(1, range(256)), (2, range(256)), (3, TELLING), (4, TELLING)], ids=str
)
def test_every_sequence_is_judged_as_by_the_decoder(size: int, values: Iterable[int]) -> None:
    """All of up to two bytes, and of three and four bytes all kinds, in one text or each alone."""
    texts = [bytes(each) for each in product(values, repeat=size)]
    joined = BEHIND.join([*texts, b""])
    found = {place // (size + len(BEHIND)) for place in breaks(joined).tolist()}
    assert found == {place for place, text in enumerate(texts) if not is_utf8(text)}


@given(st.lists(st.text(max_size=8).map(str.encode) | st.binary(max_size=8), max_size=8))
def test_no_text_is_judged_by_its_neighbours(texts: list[bytes]) -> None:
    """A place belongs to the text that it is in, or behind."""
    found = set()
    for place in breaks(BEHIND.join([*texts, b""])).tolist():
        ends = (number for number in range(len(texts)) if place < end_of(texts, number))
        found.add(next(ends))
    assert found == {place for place, text in enumerate(texts) if not is_utf8(text)}


@pytest.mark.parametrize("before", range(8))
@pytest.mark.parametrize("text", ["𝄞".encode(), b"\xf0\x9d\x84", b"\x9e"], ids=repr)
def test_a_character_may_lie_anywhere_in_much(before: int, text: bytes) -> None:
    """Also where one piece that is looked at ends and the next begins."""
    for much in ((1 << 17) - before, (1 << 18) - before):
        joined = b"x" * much + text + BEHIND
        found = breaks(joined).tolist()
        assert bool(found) == (not is_utf8(text))
        assert all(much <= place < len(joined) for place in found)


def end_of(texts: list[bytes], number: int) -> int:
    """Return where a text ends, with what is behind it."""
    return sum(len(text) + len(BEHIND) for text in texts[: number + 1])


def is_utf8(data: bytes) -> bool:
    """Ask Python."""
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
