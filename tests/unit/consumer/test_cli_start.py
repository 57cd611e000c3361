"""How commands start: their help, what they import, and how errors end them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import click
import pytest

import sessionfold_schemas as contract
from sessionfold_consumer.cli import main
from sessionfold_consumer.errors import MissingExtraError
from tests.unit.consumer.conftest import CommandLine

_WITHOUT_EXTRAS = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("numpy", "rich"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from sessionfold_consumer.cli import main
main()
"""
"""The command line where the extra of the consumer was not installed."""

_COUNTING_THREADS = """
import os, threading
from sessionfold_consumer.cli import main
main(["schema", "--help"], standalone_mode=False)
import numpy
if os.path.exists("/proc/self/task"):
    assert len(os.listdir("/proc/self/task")) == threading.active_count() == 1
"""


def paths(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Return the words of every command of the tree."""
    yield path
    if isinstance(command, click.Group):
        with click.Context(command) as ctx:
            for name in command.list_commands(ctx):
                found = command.get_command(ctx, name)
                assert found is not None
                yield from paths(found, (*path, name))


COMMANDS = list(paths(main))


def without_extras(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line without numpy and rich."""
    return subprocess.run(
        [sys.executable, "-c", _WITHOUT_EXTRAS, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={key: value for key, value in os.environ.items() if "SESSIONFOLD" not in key},
    )


def test_there_are_the_commands_of_the_manual() -> None:
    """Each by its full words."""
    assert {" ".join(each) for each in COMMANDS} == {
        *("", "run", "list", "show", "doctor", "dev", "topic", "topic create", "topic check"),
        *("history", "explain", "audit", "tail"),
        *("rebuild", "diff", "snapshot", "snapshot save", "snapshot check", "snapshot load"),
        *("schema", "schema show", "schema fingerprint", "schema check", "verify"),
        *("store", "store dump", "store migrate", "store check", "store resume"),
        *("dead-letters", "dead-letters list", "dead-letters show", "dead-letters retry"),
        *("dead-letters drop", "dead-letters export"),
        *("spool", "spool status", "spool send", "spool drop"),
    }


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_every_command_has_help(cli: CommandLine, path: tuple[str, ...]) -> None:
    """By both spellings; it says what the command does and changes nothing."""
    result = cli(*path, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: main {' '.join(path)}".rstrip())
    assert result.stdout == cli(*path, "-h").stdout
    assert len(result.stdout.split("\n\n")[1].strip()) > 10


@pytest.mark.parametrize("path", COMMANDS, ids=" ".join)
def test_help_needs_no_extra(path: tuple[str, ...]) -> None:
    """Who looks around has not installed everything yet."""
    ended = without_extras(*path, "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("Usage: ")


@pytest.mark.parametrize(
    "arguments", [["schema", "show"], ["schema", "fingerprint"], ["list", "--json"]]
)
def test_what_needs_no_extra_runs_without_it(arguments: list[str], empty_store: str) -> None:
    """The contract can be read where only the SDK is installed; JSON needs no table."""
    options = ["--store", empty_store] if arguments[0] == "list" else []
    ended = without_extras(*arguments, *options)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize("command", ["history", "explain"])
def test_a_sessions_events_are_read_without_an_extra(command: str, empty_store: str) -> None:
    """It gets as far as the store, and does not find the session there."""
    ended = without_extras(command, "nobody", "--store", empty_store)
    assert ended.returncode == 13


@pytest.mark.parametrize(
    ("command", "module"),
    [("run", "numpy"), ("list", "rich"), ("dev", "rich"), ("audit", "numpy")],
)
def test_a_missing_extra_is_one_sentence(command: str, module: str, empty_store: str) -> None:
    """It names the command, the module and how to install it, and has its own exit code."""
    options = ["--run", "true"] if command == "dev" else []
    ended = without_extras(command, *options, "--store", empty_store)
    assert ended.returncode == MissingExtraError.exit_code
    error = MissingExtraError(f"sessionfold {command}", module, "consumer")
    assert ended.stderr == f"sessionfold: {error}\n"


def test_the_version_is_the_distributions(cli: CommandLine) -> None:
    """What pip says, too."""
    assert cli("--version").stdout == f"sessionfold {metadata.version('sessionfold')}\n"


@pytest.mark.parametrize("arguments", [["lst"], ["topic", "make"], ["list", "--al"]])
def test_what_cannot_be_understood_is_code_2(cli: CommandLine, arguments: list[str]) -> None:
    """With the usage, and without a traceback."""
    result = cli(*arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith("Usage: ")


def test_an_error_is_one_sentence_on_stderr(cli: CommandLine, tmp_path: Path) -> None:
    """With the program's name before it, the code of its class, and nothing on stdout."""
    result = cli("list", "--store", f"sqlite:///{tmp_path / 'missing.db'}")
    assert result.exit_code == 9
    assert result.stdout == ""
    assert result.stderr.startswith("sessionfold: there is no store at ")
    assert result.stderr.count("\n") == 1


def test_a_defect_is_not_dressed_up(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is no error of ours ends with its traceback, not as a sentence without sense."""
    monkeypatch.setenv("SESSIONFOLD_STORE", "sqlite:///x.db")
    monkeypatch.setattr(Path, "exists", lambda _: 1 / 0)
    assert isinstance(cli("list").exception, ZeroDivisionError)


def test_the_schema_is_the_contracts(cli: CommandLine) -> None:
    """With doc and fold rule of every field; a version can be chosen."""
    shown = json.loads(cli("schema", "show").stdout)
    assert shown == contract.current().avro_schema
    assert all(field["doc"] and field["fold"] for field in shown["fields"])
    version = str(contract.current().version)
    assert json.loads(cli("schema", "show", "--version", version).stdout) == shown


def test_an_unknown_version_of_the_schema_is_not_found(cli: CommandLine) -> None:
    """The message says which there are."""
    result = cli("schema", "show", "--version", "999")
    assert result.exit_code == 13
    assert "there is no version 999 in this release, which knows 1" in result.stderr


def test_fingerprints_are_those_on_the_wire(cli: CommandLine) -> None:
    """One for each published version, for people and for programs."""
    rows = json.loads(cli("schema", "fingerprint", "--json").stdout)
    assert [row["version"] for row in rows] == [each.version for each in contract.published()]
    assert rows[-1] == {
        "version": contract.current().version,
        "fingerprint": contract.current().fingerprint.hex(),
        "digest": contract.current().digest,
    }
    text = cli("schema", "fingerprint").stdout
    assert contract.current().fingerprint.hex() in text
    assert contract.current().digest in text


def test_a_command_that_loads_numpy_starts_no_threads_for_it() -> None:
    """There would be one for each core, each of which looks for work in a loop at first."""
    environment = {key: value for key, value in os.environ.items() if "OPENBLAS" not in key}
    command = [sys.executable, "-c", _COUNTING_THREADS]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
