"""What tests of the SDK share: the real client and encoding, without a broker."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sessionfold import testing


@pytest.fixture
def events() -> Iterator[testing.Events]:
    """The events that the test's calls publish, decoded; it grows as calls are made."""
    with testing.record() as recorded:
        yield recorded
