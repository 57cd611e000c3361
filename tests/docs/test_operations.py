"""The tables of docs/operations.md are the code's own."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest

import sessionfold
from sessionfold import _config
from sessionfold_consumer import errors
from sessionfold_consumer.cli._chosen_letters import REASONS
from sessionfold_consumer.source import kafka
from sessionfold_consumer.store import migrate_store, open_store, sqlite_file
from sessionfold_consumer.topic import wanted_settings
from tests.docs import commands, markdown
from tests.services.postgres_databases import database_name, query

_PAGE = markdown.ROOT / "docs" / "operations.md"
_TABLES = markdown.tables(_PAGE)


def test_the_exit_codes_are_those_of_the_errors() -> None:
    """Every error that ends the program has its row; a code means one thing only."""
    rows = [(int(code), error.strip("`")) for code, error, *_ in _TABLES["Exit codes"]]
    by_click = [(0, ""), (2, "")]
    ours = [(error.exit_code, name) for name, error in _errors().items()]
    assert rows == sorted([*by_click, *ours])


def test_codes_are_not_used_twice() -> None:
    """Scripts and supervisors decide by them."""
    codes = [error.exit_code for error in _errors().values()]
    assert len(codes) == len(set(codes))


def test_the_services_settings_are_the_options() -> None:
    """Each option with a variable, its default included."""
    options = {
        (f"`{parameter.opts[0]}`", f"`{parameter.envvar}`", _shown(parameter.default))
        for command in commands.all_commands().values()
        for parameter in command.params
        if parameter.envvar and isinstance(parameter, click.Option)
    }
    assert {tuple(row[:3]) for row in _TABLES["Settings of the service"]} == options


def test_the_sdks_settings_are_the_configurations() -> None:
    """Each field but `kafka`, its default included; one that no variable gives has none."""
    fields = [
        (f"`{name}`", _variable(name), _shown(field.default))
        for name, field in sessionfold.Configuration.model_fields.items()
        if name != "kafka"
    ]
    assert [tuple(row[:3]) for row in _TABLES["Settings of the SDK"]] == fields


def test_the_topics_settings_are_those_it_is_created_with() -> None:
    """With three copies, so that all of them are there."""
    rows = {name.strip("`"): value.strip("`") for name, value, _ in _TABLES["The topic"]}
    assert rows == wanted_settings(3)


def test_the_reasons_are_those_of_the_decoders() -> None:
    """Every reason that a dead letter can have, explained."""
    reasons = [reason.strip("`") for reason, _ in _TABLES["Dead letters"]]
    assert tuple(reasons) == REASONS


def test_the_bounds_of_memory_are_the_codes() -> None:
    """Queue, batch and cache, in the order of the sentence."""
    _, _, sentence = _PAGE.read_text("utf-8").partition("- Memory of the service:")
    stated = re.findall(r"(\d+) MiB", sentence.partition("\n\n")[0])
    kibibytes = kafka._QUEUE_KIBIBYTES, kafka._BATCH_BYTES // 1024, sqlite_file._CACHE_KIBIBYTES
    assert [int(size) * 1024 for size in stated] == list(kibibytes)


_QUERIES = markdown.blocks(_PAGE, "sql")
_ON_SQLITE = [block for block in _QUERIES if "sessionfold" not in block.text]
_ON_POSTGRES = [block for block in _QUERIES if "sessionfold" in block.text]


@pytest.mark.parametrize("block", _ON_SQLITE, ids=lambda block: block.place)
def test_the_queries_run(block: markdown.Block, tmp_path: Path) -> None:
    """On a store of this release, by another program than ours."""
    open_store(f"sqlite:///{tmp_path / 'sessions.db'}").close()
    program = "import sqlite3, sys; sqlite3.connect('sessions.db').execute(sys.argv[1]).fetchall()"
    subprocess.run([sys.executable, "-c", program, block.text], cwd=tmp_path, check=True)


def test_the_queries_run_on_postgres(database: str) -> None:
    """In their order, on a hardened database; and the role that is made there runs a service."""
    name = database_name(database)
    query(database, f"REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC")
    migrate_store(database)
    for block in _ON_POSTGRES:
        query(database, block.text.replace("DATABASE sessions", f"DATABASE {name}"))
    with closing(open_store(database.replace("postgres@", "sessionfold_service@"))) as store:
        store.commit([], [], [])
    query(database, "DROP OWNED BY sessionfold_service; DROP ROLE sessionfold_service")


def test_a_copy_made_as_documented_is_a_store(tmp_path: Path) -> None:
    """It opens, and it is the store it was copied from."""
    open_store(f"sqlite:///{tmp_path / 'sessions.db'}").close()
    (copy,) = [b for b in markdown.blocks(_PAGE, "sql") if "VACUUM" in b.text]
    program = "import sqlite3, sys; sqlite3.connect('sessions.db').execute(sys.argv[1])"
    subprocess.run([sys.executable, "-c", program, copy.text], cwd=tmp_path, check=True)
    with (
        closing(open_store(f"sqlite:///{tmp_path / 'sessions.db'}")) as store,
        closing(open_store(f"sqlite:///{tmp_path / 'copy.db'}", read_only=True)) as copied,
    ):
        assert copied.info() == store.info()


def _errors() -> dict[str, type[errors.ConsumerError]]:
    """Return the errors by name; a base without a code of its own is not one that ends a run."""
    return {
        name: found
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, errors.ConsumerError)
        if "exit_code" in vars(found)
    }


def _variable(name: str) -> str:
    return "" if name in _config._NOT_ONE_VARIABLE else f"`SESSIONFOLD_{name.upper()}`"


def _shown(default: object) -> str:
    return "" if default is None or not isinstance(default, str | int | float) else f"`{default}`"
