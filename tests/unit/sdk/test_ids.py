"""Session IDs that the SDK makes: UUIDs of version 7."""

from __future__ import annotations

import time
import uuid

from hypothesis import given
from hypothesis import strategies as st

from sessionfold._ids import RANDOM_BITS, new_session_id, session_id_at

TIMES = st.integers(min_value=0, max_value=2**48 * 1_000_000 - 1)
RANDOM = st.integers(min_value=0, max_value=2**RANDOM_BITS - 1)


def test_the_example_of_the_standard() -> None:
    """RFC 9562, appendix A.6: its time, and its bits in the places of the fraction and the rest."""
    fraction = 0xCC3  # of 4096 parts of a millisecond
    nanoseconds = 1_645_557_742_000 * 1_000_000 + -(-fraction * 1_000_000 // 4096)
    assert session_id_at(nanoseconds, 0x18C4DC0C0C07398F) == "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"


@given(TIMES, RANDOM)
def test_it_is_a_uuid_of_version_7(nanoseconds: int, random_bits: int) -> None:
    """For any time that fits and any random bits, with the time in front."""
    found = uuid.UUID(session_id_at(nanoseconds, random_bits))
    assert (found.version, found.variant) == (7, uuid.RFC_4122)
    assert found.int >> 80 == nanoseconds // 1_000_000
    assert found.int & (2**RANDOM_BITS - 1) == random_bits


@given(TIMES, RANDOM, TIMES, RANDOM)
def test_a_later_one_is_greater(first: int, some: int, second: int, others: int) -> None:
    """From a quarter of a microsecond on, as bytes, whatever the random bits."""
    earlier, later = sorted((first, second))
    if later - earlier > 250:
        assert session_id_at(earlier, some).encode() < session_id_at(later, others).encode()


def test_a_new_one_is_of_now_and_nobody_elses() -> None:
    """Its time lies between before and after; a thousand are a thousand."""
    before = time.time_ns() // 1_000_000
    made = [new_session_id() for _ in range(1_000)]
    after = time.time_ns() // 1_000_000
    assert len({*made}) == len(made)
    assert all(before <= uuid.UUID(each).int >> 80 <= after for each in made)
