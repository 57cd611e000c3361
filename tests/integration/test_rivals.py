"""The benchmark's rivals give the right answer; a ratio to a wrong one would mean nothing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from benchmarks.books import run
from benchmarks.rivals import FIELDS, RIVALS, Rival, digest, expected_digest
from benchmarks.workload import Workload, fill
from tests.conftest import require
from tests.services.kafka import Broker

_ROOT = Path(__file__).parents[2]

SHORT = Workload(events=3_000, sessions=300, live=50)
LONG = Workload(events=120_000, sessions=12_000)
"""Sessions that are live across transactions of 50,000 records."""

_MARKS = {
    "plain": (),
    "plain, batched": (),
    "quix": (pytest.mark.soak,),
    "java": (pytest.mark.soak, pytest.mark.java),
    "streams-1": (pytest.mark.soak, pytest.mark.java),
    "streams-2": (pytest.mark.soak, pytest.mark.java),
}
"""Those that are slow to prepare or to start run with the soak."""


@pytest.mark.kafka
@pytest.mark.parametrize(
    "rival", [pytest.param(each, marks=_MARKS[each.name], id=each.name) for each in RIVALS]
)
def test_a_rival_folds_every_session_to_its_last_values(
    rival: Rival, broker: Broker, topic: str, tmp_path: Path
) -> None:
    """Each field of each session, compared with the plain fold of the workload's own records."""
    workload = LONG if _MARKS[rival.name] else SHORT
    require(rival.missing())
    rival.prepare()
    fill(broker.bootstrap_servers, topic, workload)
    books = run(rival.command(broker.bootstrap_servers, topic, workload.events, tmp_path))
    assert float(books.output.splitlines()[-1]) > 0
    states = list(rival.results(tmp_path))
    assert len(states) == workload.sessions
    assert digest(states) == expected_digest(workload)


def test_kafka_streams_is_of_the_brokers_version() -> None:
    """A broker that is raised takes its rival along."""
    poms = [_ROOT / "benchmarks/rivals/java/pom.xml", _ROOT / "tests/services/kafka-pom.xml"]
    found = [re.findall("<kafka.version>.+</kafka.version>", pom.read_text()) for pom in poms]
    assert found[0] == found[1] != []


def test_the_digest_is_of_the_states_alone() -> None:
    """Neither the order of sessions or fields nor a field that is not compared changes it."""
    one, other = _state("one", task="a"), _state("other", session_eval=0.5)
    turned = dict(reversed(one.items())) | {"started_at": 1}
    assert digest([one, other]) == digest([other, turned])


@pytest.mark.parametrize("name", FIELDS)
def test_the_digest_sees_every_field(name: str) -> None:
    """A value that is missing, another's, or of another type is a wrong answer."""
    states = [_state("one"), _state("one", **{name: 0}), _state("one", **{name: False})]
    assert len({digest([each]) for each in states}) == len(states)


def test_the_digest_sees_every_session() -> None:
    """One that is missing, is there twice, or has another's name is a wrong answer."""
    one, other = _state("one"), _state("other")
    answers = [[one], [other], [one, other], [one, one]]
    assert len({digest(each) for each in answers}) == len(answers)


def _state(session_id: str, **given: Any) -> dict[str, Any]:  # noqa: ANN401 - a field's value
    return {"session_id": session_id, **dict.fromkeys(FIELDS), **given}
