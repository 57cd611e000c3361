"""Every kind of process end in every state of queue and broker: what shall be in the log is there.

The whole table is made with ``-m soak``, and printed by ``python -m tests.e2e.ends``.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import require
from tests.e2e.ends import group
from tests.e2e.ends.kinds import KINDS
from tests.e2e.ends.states import STATES, State
from tests.e2e.ends.verdict import Outcome, problems
from tests.services.kafka import KafkaBroker, kafka_available

pytestmark = pytest.mark.kafka

REPRESENTATIVE = (
    "normal",
    "sigterm_handled",
    "sigterm_flushes",
    "sigterm",
    "sigkill",
    "daemon_thread",
    "fork_in_session",
    "process_returns.spawn",
    "process_is_terminated.fork",
    "celery_one_task",
)
"""One of each family; the servers' prefork is ``os.fork``, Celery's has an end of its own."""


@pytest.fixture(scope="module")
def victim() -> Iterator[KafkaBroker]:
    """A broker for this file, which freezes and kills it."""
    require(kafka_available())
    with KafkaBroker.start() as started:
        yield started


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_representative_ends(victim: KafkaBroker, state: State, tmp_path: Path) -> None:
    """Nothing is lost but what only the memory of a killed process had, and the rest is in order.

    Exit code, output and stderr are the worker's own, and no process stays behind.
    """
    chosen = [kind for kind in KINDS if kind.name in REPRESENTATIVE]
    assert len(chosen) == len(REPRESENTATIVE)
    check(group.run(victim, state, chosen, tmp_path))


@pytest.mark.soak
@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_all_ends(victim: KafkaBroker, state: State, tmp_path: Path) -> None:
    """The same for every row of the table."""
    check(group.run(victim, state, KINDS, tmp_path))


def check(outcomes: list[Outcome]) -> None:
    """Hold every cell to its promise, and the state to having been what it is called."""
    wrong = {each.kind.name: found for each in outcomes if (found := problems(each))}
    assert wrong == {}
    for each in outcomes:
        for role, books in each.books.items():
            if "thread" not in each.kind.roles:
                assert (books["in_flight"] == 0) == each.state.flushes, (each.kind.name, role)
    killed = next(each for each in outcomes if each.kind.name == "sigkill")
    assert bool(killed.lost("parent")) == (not killed.state.flushes), "the queue was not full"
    kept = {each.kind.name for each in outcomes if each.kept}
    if outcomes[0].state.name == "down":
        assert kept == {each.kind.name for each in outcomes}
