"""Who may import what: the one table of it, held over every file of the project.

A third-party client belongs to one file or package, so that its errors and quirks stop there. The
contract imports neither side, and the sides never import each other; only the command line does.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_FOLDERS = ("schemas", "producer", "consumer", "tests", "benchmarks", "examples")
_OUTSIDE = ("tests/", "benchmarks/", "examples/")

IMPORTERS: dict[str, tuple[str, ...]] = {
    "confluent_kafka": (
        "producer/sessionfold/_publisher.py",
        "consumer/sessionfold_consumer/source/kafka.py",
        "consumer/sessionfold_consumer/broker.py",
        "consumer/sessionfold_consumer/embedded.py",
        "tests/services/",
        "tests/unit/sdk/test_publisher.py",
        "benchmarks/",
    ),
    "fastavro": ("schemas/", "tests/", "benchmarks/rivals/plain_fold.py"),
    "numpy": (
        "consumer/sessionfold_consumer/decode.py",
        "consumer/sessionfold_consumer/fold.py",
        "consumer/sessionfold_consumer/records.py",
        "consumer/sessionfold_consumer/fields.py",
        "consumer/sessionfold_consumer/utf8.py",
        "consumer/sessionfold_consumer/walk.py",
        "tests/",
        "benchmarks/",
        "examples/",
    ),
    "psycopg": (
        "consumer/sessionfold_consumer/store/postgres.py",
        "consumer/sessionfold_consumer/store/postgres_database.py",
        "consumer/sessionfold_consumer/store/postgres_errors.py",
        "consumer/sessionfold_consumer/store/postgres_shadow.py",
        "tests/services/",
        "tests/contract/store/",
        "tests/unit/consumer/test_postgres_errors.py",
    ),
    "sqlite3": (
        "consumer/sessionfold_consumer/store/",
        "tests/contract/store/",
        "tests/e2e/",
        "tests/docs/",
        "benchmarks/",
    ),
    "sessionfold": ("producer/", "consumer/sessionfold_consumer/cli/", *_OUTSIDE),
    "sessionfold_consumer": ("consumer/", *_OUTSIDE),
}
"""For each guarded module the files and folders (ending in ``/``) that may import it."""

_OWN_PACKAGES = {"sessionfold", "sessionfold_consumer"}


@pytest.mark.parametrize("folder", _FOLDERS)
def test_every_import_is_allowed(folder: str) -> None:
    """No file imports a module that the table gives to others, in whatever way it is written."""
    files = sorted((_ROOT / folder).rglob("*.py"))
    found = [problem for file in files for problem in violations(_path(file), file.read_text())]
    assert found == []


def test_the_walk_sees_the_packages() -> None:
    """A moved folder must not turn the rules off."""
    for package in ("schemas/sessionfold_schemas", "producer/sessionfold", "consumer"):
        assert list((_ROOT / package).rglob("*.py")), package


@pytest.mark.parametrize(
    "statement",
    [
        "import sqlite3",
        "import sqlite3 as database",
        "import json, sqlite3.dbapi2",
        "from sqlite3 import connect",
        "from sqlite3.dbapi2 import connect",
        "def f():\n    import sqlite3",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import sqlite3",
        "import importlib\nimportlib.import_module('sqlite3')",
        "from importlib import import_module\nimport_module('sqlite3')",
        "__import__('sqlite3')",
    ],
)
def test_an_import_is_seen_however_it_is_written(statement: str) -> None:
    """Each of these is refused outside the store and allowed in it."""
    assert len(violations("consumer/sessionfold_consumer/fold.py", statement)) == 1
    assert violations("consumer/sessionfold_consumer/store/sqlite.py", statement) == []


@pytest.mark.parametrize(
    ("path", "module", "allowed"),
    [
        ("consumer/sessionfold_consumer/fold.py", "sessionfold", False),
        ("consumer/sessionfold_consumer/fold.py", "sessionfold.errors", False),
        ("consumer/sessionfold_consumer/fold.py", "sessionfold_schemas", True),
        ("consumer/sessionfold_consumer/fold.py", "sessionfold_consumer.state", True),
        ("consumer/sessionfold_consumer/cli/dev.py", "sessionfold", True),
        ("consumer/sessionfold_consumer/cli_extra.py", "sessionfold", False),
        ("producer/sessionfold/_client.py", "sessionfold_consumer", False),
        ("producer/sessionfold/_client.py", "sessionfold_schemas", True),
        ("producer/sessionfold/_client.py", "confluent_kafka", False),
        ("schemas/sessionfold_schemas/_wire.py", "sessionfold", False),
        ("schemas/sessionfold_schemas/_wire.py", "sessionfold_consumer", False),
        ("tests/services/topics.py", "confluent_kafka", True),
        ("tests/unit/test_fold.py", "confluent_kafka", False),
        ("consumer/sessionfold_consumer/store/sqlite.py", "psycopg", False),
    ],
)
def test_the_table_means_what_it_says(path: str, module: str, allowed: bool) -> None:
    """A module's name guards its submodules, not modules whose names begin the same."""
    assert (violations(path, f"import {module}") == []) is allowed


def test_ruff_guards_the_same_third_party_modules() -> None:
    """An editor shows what ruff knows: the clients of the table, outside the files of the table."""
    lint = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    banned = lint["flake8-tidy-imports"]["banned-api"]
    assert set(banned) == set(IMPORTERS) - _OWN_PACKAGES


def violations(path: str, source: str) -> list[str]:
    """Return one line for each import in ``source`` that the table does not allow to ``path``."""
    return [
        f"{path}:{line} imports {name}, see IMPORTERS[{guarded!r}]"
        for line, name in _imports(ast.parse(source, path))
        for guarded in [name.partition(".")[0]]
        if guarded in IMPORTERS and not _may_import(path, guarded)
    ]


def _may_import(path: str, module: str) -> bool:
    return any(
        path.startswith(owner) if owner.endswith("/") else path == owner
        for owner in IMPORTERS[module]
    )


def _imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the absolute name of each import; a relative one stays in its package."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(module=str(name), level=0):
                yield node.lineno, name
            case ast.Call(args=[ast.Constant(value=str(name)), *_]) if _is_importer(node.func):
                yield node.lineno, name


def _is_importer(function: ast.expr) -> bool:
    name = function.attr if isinstance(function, ast.Attribute) else None
    name = function.id if isinstance(function, ast.Name) else name
    return name in ("__import__", "import_module", "importorskip")


def _path(file: Path) -> str:
    return file.relative_to(_ROOT).as_posix()
