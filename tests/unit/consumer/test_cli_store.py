"""The commands that look after a store: migrate, check, resume."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

import sessionfold_schemas as contract
from sessionfold_consumer.store import open_store
from sessionfold_consumer.store.sqlite_migrations import SCHEMA_VERSION
from tests.unit.consumer.conftest import CommandLine, filled
from tests.unit.consumer.services import Topic


def test_migrate_makes_a_store_and_then_finds_it(cli: CommandLine, tmp_path: Path) -> None:
    """It may run before every start: a second time it changes nothing."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    first = cli("store", "migrate", "--store", url)
    assert (first.exit_code, first.stdout) == (0, f"a new store, of version {SCHEMA_VERSION}\n")
    second = cli("store", "migrate", "--store", url)
    assert (second.exit_code, second.stdout) == (
        0,
        f"the store is of version {SCHEMA_VERSION}; nothing was to be done\n",
    )


def test_check_says_what_a_store_is(cli: CommandLine, store: str) -> None:
    """All that one needs to know before it is used, or reported about."""
    with closing(open_store(store)) as opened:
        opened.accept_gap(opened.positions()[1], 9)
        letters = list(opened.dead_letters())
        opened.resolve(letters[:1], "dropped")
        opened.stop("1,000 records in a row")
        info = opened.info()
    result = cli("store", "check", "--json", "--store", store)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == {
        "version": SCHEMA_VERSION,
        "compatible_from": 2,
        "store_id": info.store_id,
        "contract_version": contract.current().version,
        "contract_digest": contract.current().digest,
        "generation": "a",
        "shadow": "empty",
        "topic": "t",
        "topic_id": "id",
        "partition_count": 3,
        "stopped": "1,000 records in a row",
        "positions": [
            position(0, next_offset=2),
            position(1, next_offset=9),
            position(2, next_offset=3),
        ],
        "gaps": [{"partition": 1, "first": 3, "last": 8}],
        "dead_letters": {"open": 1, "retried": 0, "dropped": 1},
    }


def position(partition: int, next_offset: int) -> dict[str, int]:
    """Return a partition's position as ``check`` has it, claimed once."""
    numbers = {"first_offset": 0, "next_offset": next_offset, "owner_epoch": 1, "attempts": 0}
    return {"partition": partition, **numbers}


def test_check_is_readable(cli: CommandLine, store: str) -> None:
    """A line a thing; what a topic's name holds moves no terminal."""
    with closing(open_store(store)) as opened:
        opened.accept_gap(opened.positions()[1], 9)
        opened.stop("bad\x1b[2J")
    lines = cli("store", "check", "--store", store).stdout.splitlines()
    said = {line[:14].strip(): line[14:] for line in lines}
    assert said["version"] == f"{SCHEMA_VERSION}, for programs from 2 on"
    assert said["topic"] == "t (ID id, 3 partitions)"
    assert said["stopped"] == "bad\\x1b[2J"
    assert said["partition 1"] == "folded from 0 to before 9, owner epoch 1"
    assert said["gap"] == "1:3-8"
    assert said["dead letters"] == "2 open, 0 retried, 0 dropped"


def test_check_of_a_store_that_no_service_has_run_on(cli: CommandLine, tmp_path: Path) -> None:
    """It is right as it is."""
    url = f"sqlite:///{tmp_path / 'new.db'}"
    cli("store", "migrate", "--store", url)
    result = cli("store", "check", "--store", url)
    assert result.exit_code == 0
    assert "none yet: no service has run on this store" in result.stdout


def test_check_fails_where_the_service_would(cli: CommandLine, tmp_path: Path, store: str) -> None:
    """With its code and sentence; it makes no store."""
    missing = cli("store", "check", "--store", f"sqlite:///{tmp_path / 'none.db'}")
    assert (missing.exit_code, missing.stdout) == (9, "")
    assert "there is no store at" in missing.stderr
    assert not (tmp_path / "none.db").exists()


def test_check_fails_when_a_position_is_missing(cli: CommandLine, tmp_path: Path) -> None:
    """The store was damaged: a service would refuse that partition."""
    url = filled(tmp_path, Topic())
    with closing(open_store(url)) as opened:
        opened._database.execute("DELETE FROM positions_a WHERE partition = 1")  # type: ignore[attr-defined]
    result = cli("store", "check", "--store", url)
    assert result.exit_code == 9
    assert "the store has no position for partition 1" in result.stderr


def test_resume_lets_a_stopped_service_start(cli: CommandLine, store: str) -> None:
    """And says why it had stopped; told again it has nothing to do."""
    with closing(open_store(store)) as opened:
        opened.stop("1,000 records in a row")
    result = cli("store", "resume", "--store", store)
    assert result.exit_code == 0
    assert result.stdout == (
        "the service may start again; it had stopped itself: 1,000 records in a row\n"
    )
    with closing(open_store(store)) as opened:
        assert opened.info().stopped is None
    again = cli("store", "resume", "--store", store)
    assert (again.exit_code, again.stdout) == (
        0,
        "the service had not stopped itself; nothing was to be done\n",
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["store", "resume"],
        ["dead-letters", "retry", "--all"],
        ["dead-letters", "drop", "--all", "--yes"],
    ],
)
def test_a_mistyped_name_makes_no_store(
    cli: CommandLine, tmp_path: Path, arguments: list[str]
) -> None:
    """What changes a store expects one."""
    path = tmp_path / "mistyped.db"
    result = cli(*arguments, "--store", f"sqlite:///{path}")
    assert result.exit_code == 9
    assert "there is no store at" in result.stderr
    assert not path.exists()
