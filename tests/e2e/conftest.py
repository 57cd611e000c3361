"""The command line as a user calls it: a process, its output, its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.services.kafka import Broker

ROOT = Path(__file__).parents[2]
SESSIONFOLD = str(Path(sys.executable).with_name("sessionfold"))
TIMEOUT_SECONDS = 120.0


class CommandLine:
    """Runs ``sessionfold`` with a topic and a store of the test's own.

    Args:
        environment: the variables that point it, and workers, to them.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment = {**_clean(os.environ), **environment}

    def __call__(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run it to its end and return what it said."""
        return self._run([SESSIONFOLD, *arguments], environment)

    def good(self, *arguments: str) -> str:
        """Run it, expect success, and return what it printed."""
        ended = self(*arguments)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def launched(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it through a small launcher that prints what it used, as JSON, to stdout."""
        launcher = [sys.executable, "-m", "benchmarks.books"]
        return self._run([*launcher, SESSIONFOLD, *arguments], {})

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start it and return the process; what it prints can be read from there."""
        return subprocess.Popen(
            [SESSIONFOLD, *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def program(self, path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a Python program as a user would."""
        return self._run([sys.executable, str(path)], environment)

    def _run(
        self, command: list[str], environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=ROOT,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )


@pytest.fixture
def cli(broker: Broker, topic: str, folder: Path) -> CommandLine:
    """The command line (and workers that hurry), pointed at the test's topic and store."""
    return CommandLine(
        {
            "SESSIONFOLD_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
            "SESSIONFOLD_TOPIC": topic,
            "SESSIONFOLD_STORE": store_url(folder / "sessions.db"),
            "SESSIONFOLD_EXAMPLE_PAUSE_SECONDS": "0.01",
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where stores of the test go."""
    return tmp_path


@pytest.fixture
def lonely(folder: Path) -> CommandLine:
    """The command line with nothing but a place for a store."""
    return CommandLine({"SESSIONFOLD_STORE": store_url(folder / "sessions.db")})


def store_url(path: Path) -> str:
    """Return the URL of a SQLite store at an absolute path."""
    return f"sqlite:///{path}"


def _clean(environment: Mapping[str, str]) -> dict[str, str]:
    return {k: v for k, v in environment.items() if not k.startswith("SESSIONFOLD_")}
