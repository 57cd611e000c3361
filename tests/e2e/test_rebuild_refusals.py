"""What ``sessionfold rebuild`` refuses: with an exit code and a sentence, and nothing changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.workload import Workload
from tests.e2e.conftest import CommandLine
from tests.e2e.processes import NOWHERE
from tests.services.kafka import Broker
from tests.services.topics import (
    add_partitions,
    append,
    configure_topic,
    create_topic,
    delete_records,
    delete_topic,
)

pytestmark = pytest.mark.kafka

_RECORDS = list(Workload(events=60, sessions=6, live=3).records())


@pytest.fixture
def folded(broker: Broker, topic: str, cli: CommandLine) -> CommandLine:
    """The command line with a store that is the fold of its topic."""
    append(broker, topic, _RECORDS, partition=1)
    cli.good("run", "--until-caught-up")
    return cli


def _lose_the_start(broker: Broker, topic: str) -> None:
    delete_records(broker, topic, 1, before=5)


def _recreate(broker: Broker, topic: str) -> None:
    delete_topic(broker, topic)
    create_topic(broker, topic)
    append(broker, topic, _RECORDS, partition=1)


def _repartition(broker: Broker, topic: str) -> None:
    add_partitions(broker, topic, 6)


def _compact(broker: Broker, topic: str) -> None:
    configure_topic(broker, topic, "cleanup.policy", "compact")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (_lose_the_start, 12, "a rebuild would miss offsets 0 to 4 of partition 1"),
        (_recreate, 11, "it was deleted and created again"),
        (_repartition, 11, "has 6 partitions, the store was built from 4"),
        (_compact, 8, "has cleanup.policy=compact"),
        (delete_topic, 7, "does not exist on this broker"),
    ],
)
def test_a_topic_that_is_not_as_it_was_is_refused(
    broker: Broker,
    topic: str,
    folded: CommandLine,
    change: Callable[[Broker, str], None],
    code: int,
    words: str,
) -> None:
    """The live state, which came of it as it was, stays."""
    before = folded.good("store", "dump")
    change(broker, topic)
    assert_refused(folded, code, words)
    assert folded.good("store", "dump") == before


def test_a_broker_that_is_away_is_waited_for_only_some_seconds(folded: CommandLine) -> None:
    """Nothing has begun."""
    before = folded.good("store", "dump")
    folded.environment["SESSIONFOLD_BOOTSTRAP_SERVERS"] = NOWHERE
    assert_refused(folded, 5, f"no Kafka broker answered at {NOWHERE}")
    assert folded.good("store", "dump") == before


def test_there_has_to_be_a_store(cli: CommandLine) -> None:
    """None is made; and one that is new has nothing to rebuild."""
    assert_refused(cli, 9, "there is no store at ")
    assert_refused(cli, 9, "there is no store at ", "--drop-old")
    cli.good("store", "migrate")
    assert_refused(cli, 22, "no service has run on this store yet")


def test_one_state_is_kept_and_not_two(folded: CommandLine) -> None:
    """What is asked for must be possible; each refusal names the ways on."""
    assert_refused(folded, 22, "there is nothing to go back to", "--undo")
    assert_refused(folded, 22, "there is nothing to throw away", "--drop-old")
    folded.good("rebuild")
    for options in ((), ("--yes",), ("--into-shadow",), ("--dry-run",)):
        assert_refused(folded, 22, "rebuild --undo, or throw it away", *options)
    folded.good("rebuild", "--undo")
    folded.good("rebuild", "--drop-old")
    assert "threw away an unfinished rebuild" in _dropped(folded)
    assert ": right (" in folded.good("verify")


def assert_refused(cli: CommandLine, code: int, words: str, *options: str) -> None:
    """Expect that a rebuild ends so, in one sentence, and without a traceback."""
    ended = cli("rebuild", *options)
    assert ended.returncode == code, ended.stderr
    *_, last = ended.stderr.splitlines()
    assert last.startswith("sessionfold: ")
    assert words in last
    assert "Traceback" not in ended.stderr


def _dropped(cli: CommandLine) -> str:
    cli.good("rebuild", "--into-shadow")
    return cli.good("rebuild", "--drop-old")
