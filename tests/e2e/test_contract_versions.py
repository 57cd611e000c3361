"""Workers and services of two versions of the contract: whoever is upgraded first, nothing is lost.

The old release is a copy of this one at version 1 of the contract, in processes of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from sessionfold_schemas import by_fingerprint, current, fingerprint_of
from tests import old_release, oracle
from tests.contract import goldens
from tests.e2e.conftest import CommandLine
from tests.services.kafka import Broker
from tests.services.topics import append, read_all

pytestmark = pytest.mark.kafka

_OLD_WORKER = """
import sessionfold as lai

with lai.session(session_id="s", session_name="old", task="begin"):
    lai.update_session(task="from the old worker", session_eval=0.25)
"""

_NEW_WORKER = """
import sessionfold as lai

with lai.session(session_id="s", agent_id="agent", tags=["a", "é"], task="from the new worker"):
    for number in range({updates}):
        lai.update_session(session_eval=number)
"""

_SET_ASIDE = 40
_TOO_MANY = 150
"""More unknown schemas in a row than a service takes for single broken records."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of the old release."""
    return old_release.make(tmp_path_factory.mktemp("old release"))


@pytest.fixture(params=["sqlite", "postgres"])
def new(request: pytest.FixtureRequest, cli: CommandLine) -> Iterator[CommandLine]:
    """The command line of this release, pointed at no store yet of either kind."""
    if request.param == "sqlite":
        yield cli
    else:
        database = request.getfixturevalue("database")
        yield CommandLine(cli.environment | {"SESSIONFOLD_STORE": database})


@pytest.fixture
def old(new: CommandLine, release: dict[str, str]) -> CommandLine:
    """The command line of the old release, pointed at the same topic and store."""
    found = CommandLine(new.environment | release)
    found.good("store", "migrate")
    return found


def test_the_old_release_is_one(old: CommandLine, new: CommandLine) -> None:
    """It knows version 1 only, its store lacks the later columns, and this release says so."""
    known = json.loads(old.good("schema", "fingerprint", "--json"))
    assert [each["version"] for each in known] == [old_release.VERSION]
    assert json.loads(old.good("store", "check", "--json"))["contract_version"] == 1
    behind = new("list")
    assert behind.returncode == 9
    assert "bring it up to date with: sessionfold store migrate" in behind.stderr


@pytest.mark.parametrize("version", goldens.versions())
def test_golden_records_of_every_version_are_folded(
    broker: Broker, topic: str, cli: CommandLine, version: int
) -> None:
    """Java's bytes of each version, as a worker of that version has written them."""
    append(broker, topic, _goldens(version))
    cli.good("run", "--until-caught-up")
    assert _states(cli) == oracle.ordered(oracle.fold(read_all(broker, topic)).states)
    assert cli.good("dead-letters", "list") == "no record is set aside\n"


def test_an_old_worker_and_a_new_service(
    broker: Broker, topic: str, old: CommandLine, new: CommandLine, tmp_path: Path
) -> None:
    """Consumers first: old workers are folded as ever, by a store that has grown meanwhile."""
    _work(old, tmp_path, _OLD_WORKER)
    old.good("run", "--until-caught-up")
    before = _states(old)
    new.good("store", "migrate")
    assert [{k: each[k] for k in before[0]} for each in _states(new)] == before
    _work(old, tmp_path, _OLD_WORKER)
    new.good("run", "--until-caught-up")
    assert _versions(broker, topic) == {1}
    (state,) = _states(new)
    assert (state["session_name"], state["tags"], state["event_count"]) == ("old", None, 6)
    _assert_right(broker, topic, new)


def test_old_services_go_on_while_the_store_is_upgraded(
    broker: Broker, topic: str, old: CommandLine, new: CommandLine, tmp_path: Path
) -> None:
    """The one that runs, and one that is started again; the new columns are none of theirs."""
    service = old.start("run")
    assert service.stderr is not None
    assert any("took over partitions" in line for line in service.stderr)
    new.good("store", "migrate")
    _work(old, tmp_path, _OLD_WORKER)
    while not _states(new):
        assert service.poll() is None
    service.terminate()
    service.communicate(timeout=60)
    assert service.returncode == 0
    _work(old, tmp_path, _OLD_WORKER)
    old.good("run", "--until-caught-up")
    assert [each["event_count"] for each in _states(new)] == [6]
    _work(new, tmp_path, _NEW_WORKER.format(updates=1))
    new.good("run", "--until-caught-up")
    (state,) = _states(new)
    assert (state["session_name"], state["tags"], state["event_count"]) == ("old", ["a", "é"], 9)
    _assert_right(broker, topic, new)


def test_new_workers_and_an_old_service(
    broker: Broker, topic: str, old: CommandLine, new: CommandLine, tmp_path: Path
) -> None:
    """The wrong order: set aside, then stopped; after the upgrade each event takes its place."""
    append(broker, topic, _goldens(current().version)[:_SET_ASIDE])
    _work(new, tmp_path, _NEW_WORKER.format(updates=1))
    _work(old, tmp_path, _OLD_WORKER)
    old.good("run", "--until-caught-up")
    letters = [line["reason"] for line in _dump(old) if line["kind"] == "dead_letter"]
    assert letters == ["unknown_schema"] * (_SET_ASIDE + 3)
    assert [each["task"] for each in _states(old)] == ["from the old worker"]

    _work(new, tmp_path, _NEW_WORKER.format(updates=_TOO_MANY))
    stopped = old("run")
    assert stopped.returncode == 19
    assert "records of reason unknown_schema in a row" in stopped.stderr

    new.good("store", "migrate")
    new.good("store", "resume")
    retried = new.good("dead-letters", "retry", "--reason", "unknown_schema")
    assert retried == f"{_SET_ASIDE + 3} dead letters retried\n"
    state = json.loads(new.good("show", "s", "--json"))
    assert (state["task"], state["tags"]) == ("from the old worker", ["a", "é"])
    new.good("run", "--until-caught-up")
    assert json.loads(new.good("show", "s", "--json"))["task"] == "from the new worker"
    assert _versions(broker, topic) == {1, 2}
    _assert_right(broker, topic, new)
    assert '["a", "é"]' in new.good("history", "s")
    assert '["a", "é"]' in new.good("explain", "s", "tags")


def test_a_rebuild_finds_what_an_old_service_set_aside(
    broker: Broker, topic: str, old: CommandLine, new: CommandLine, tmp_path: Path
) -> None:
    """It shows what would change, since it is no small thing, and does it when told to."""
    _work(old, tmp_path, _OLD_WORKER)
    _work(new, tmp_path, _NEW_WORKER.format(updates=1))
    old.good("run", "--until-caught-up")
    new.good("store", "migrate")
    shown = new("rebuild")
    assert shown.returncode == 20
    assert "3 dead letters would become events" in shown.stdout
    new.good("rebuild", "--yes")
    assert _states(new) == oracle.ordered(oracle.fold(read_all(broker, topic)).states)
    assert new.good("dead-letters", "list") == "no record is set aside\n"
    assert ": right (" in new.good("verify")


def test_the_order_of_upgrades_leaves_no_trace(
    topic: str, old: CommandLine, new: CommandLine, cli: CommandLine, tmp_path: Path
) -> None:
    """A store that was upgraded is, byte for byte, one that was folded by this release alone."""
    _work(old, tmp_path, _OLD_WORKER)
    old.good("run", "--until-caught-up")
    new.good("store", "migrate")
    _work(new, tmp_path, _NEW_WORKER.format(updates=1))
    new.good("run", "--until-caught-up")
    alone = CommandLine(cli.environment | {"SESSIONFOLD_STORE": f"sqlite:///{tmp_path}/alone.db"})
    alone.good("run", "--until-caught-up")
    assert alone.good("store", "dump") == new.good("store", "dump")


def _work(release: CommandLine, folder: Path, program: str) -> None:
    """Run a worker of a release to its end, with all delivered."""
    path = folder / "worker.py"
    path.write_text(program + "\nassert lai.flush(30)\n")
    ended = release.program(path)
    assert ended.returncode == 0, ended.stderr


def _goldens(version: int) -> list[tuple[bytes | None, bytes | None]]:
    events = goldens.events(version)
    values = map(bytes.fromhex, goldens.golden(version, "records.hex").split())
    return [
        (event["session_id"].encode(), value) for event, value in zip(events, values, strict=True)
    ]


def _versions(broker: Broker, topic: str) -> set[int]:
    """Return the versions that the topic's records were written with."""
    values = [record.value or b"" for record in read_all(broker, topic)]
    return {by_fingerprint(fingerprint_of(value)).version for value in values}


def _assert_right(broker: Broker, topic: str, release: CommandLine) -> None:
    """Hold the store to the plain fold, and to the command that compares it with the log."""
    assert _states(release) == oracle.ordered(oracle.fold(read_all(broker, topic)).states)
    assert ": right (" in release.good("verify")


def _states(release: CommandLine) -> list[dict[str, object]]:
    return [
        {name: value for name, value in line.items() if name != "kind"}
        for line in _dump(release)
        if line["kind"] == "state"
    ]


def _dump(release: CommandLine) -> list[dict[str, object]]:
    return [json.loads(line) for line in release.good("store", "dump").splitlines()]
