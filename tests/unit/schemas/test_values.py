"""The rules for session IDs, and the wire format's frame."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sessionfold_schemas as contract
from tests.strategies import session_ids


@given(session_ids)
def test_printable_ids_of_1_to_512_bytes_are_allowed(session_id: str) -> None:
    """In any script."""
    assert contract.session_id_problem(session_id) is None


def test_just_the_control_characters_are_refused() -> None:
    """Category Cc, of all of Unicode; a surrogate is refused because UTF-8 has none."""
    refused = {chr(code) for code in range(0x110000) if contract.session_id_problem(chr(code))}
    assert {unicodedata.category(each) for each in refused} == {"Cc", "Cs"}
    assert len(refused) == 65 + 2048


@pytest.mark.parametrize(
    ("session_id", "problem"),
    [
        ("", "is 0 bytes long; 1 to 512 are allowed"),
        ("é" * 257, "is 514 bytes long; 1 to 512 are allowed"),
        ("a\nb", "holds the control character U+000A"),
        ("\udc00", "holds a lone surrogate, which UTF-8 cannot carry"),
    ],
)
def test_the_problem_is_a_clause_with_value_and_limit(session_id: str, problem: str) -> None:
    """It completes a sentence that begins with the argument's name."""
    assert contract.session_id_problem(session_id) == problem


@given(st.binary(max_size=40))
def test_unframe_undoes_frame(body: bytes) -> None:
    """The header is C3 01 and the fingerprint in little-endian order, ten bytes in all."""
    current = contract.current()
    value = contract.frame(current, body)
    assert value == b"\xc3\x01" + current.fingerprint + body
    assert len(value) == contract.HEADER_BYTES + len(body)
    assert contract.unframe(value) == (current, body)


def test_the_package_exports_what_it_says() -> None:
    """One door: ``__all__`` is sorted, complete, and holds no private name."""
    public = {name for name, value in vars(contract).items() if not name.startswith("_")}
    modules = {"errors"}
    assert public - modules == set(contract.__all__)
    assert not any(name.startswith("_") for name in contract.__all__)
    assert contract.__all__ == sorted(contract.__all__, key=_case)


def _case(name: str) -> tuple[int, str]:
    return (0 if name.isupper() else 1 if name[0].isupper() else 2), name
