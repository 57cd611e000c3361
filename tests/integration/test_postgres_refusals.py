"""A service on a PostgreSQL that is there and does not do what it is asked to: it tries again.

Each test counts that its fault really happened.
"""

from __future__ import annotations

import pytest

from tests.integration.folding import Folding
from tests.services.postgres import Trap

pytestmark = [pytest.mark.postgres, pytest.mark.usefixtures("hurried")]

_GONE = "PERFORM pg_terminate_backend(pg_backend_pid())"


@pytest.mark.parametrize("table", ["positions_a", "session_state_a", "dead_letters_a"])
def test_its_connection_is_lost_within_any_statement(url: str, table: str) -> None:
    """While it writes positions, states or dead letters, and psycopg is in whatever mode."""
    with Folding(url) as folding:
        trap = Trap.set(url, f"sessionfold.{table}", _GONE, every=20)
        folding.wait_for(lambda: trap.sprung() >= 3, "lost connections")
        trap.remove()
        folding.finish()
    assert folding.seen.waiting["store"] >= 3


@pytest.mark.parametrize("at_commit", [False, True])
@pytest.mark.parametrize(
    "sqlstate",
    ["40001", "40P01", "53100", "53200", "55P03", "57014"],
    ids=["serialization", "deadlock", "disk_full", "out_of_memory", "lock", "cancelled"],
)
def test_a_transaction_is_refused_for_what_passes(url: str, sqlstate: str, at_commit: bool) -> None:
    """When it writes, or only when it commits: it is tried again, from the position."""
    action = f"RAISE EXCEPTION USING ERRCODE = '{sqlstate}'"
    with Folding(url) as folding:
        trap = Trap.set(url, "sessionfold.session_state_a", action, every=50, at_commit=at_commit)
        folding.wait_for(lambda: trap.sprung() >= 3, "refusals")
        folding.check()
        trap.remove()
        folding.finish()
    assert folding.seen.waiting["store"] >= 3
