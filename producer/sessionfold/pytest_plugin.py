"""The pytest plugin, loaded where sessionfold is installed: a fixture for tests of workers.

It costs a test run nothing until a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .testing import Events

__all__ = ["sessionfold_events"]


@pytest.fixture
def sessionfold_events() -> Iterator[Events]:
    """The events that the test publishes, decoded, with no broker; it grows as calls are made."""
    from .testing import record

    with record() as events:
        yield events
