"""The rivals in Java: one Maven project, built once and kept for every later run."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.services import maven

from .answers import sqlite_states

_PROJECT = Path(__file__).with_name("java")
_POM = _PROJECT / "pom.xml"
_FLAGS = ("-Xmx1g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")


class JavaRival:
    """A hand-written consumer: one thread, a map, SQLite in transactions of 50,000 records."""

    name = "java"

    def missing(self) -> str | None:
        """Say whether Java, and for the first time a compiler and Maven, are here."""
        return _missing()

    def prepare(self) -> None:
        """Build the project."""
        _build()

    def command(self, servers: str, topic: str, count: int, folder: Path) -> list[str]:
        """Return the program; it keeps ``sessions.db`` in the folder."""
        return [*_program("ConsumerFold"), servers, topic, str(count), str(folder)]

    def results(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Yield what the file has."""
        return sqlite_states(folder / "sessions.db")


class StreamsRival:
    """Kafka Streams, exactly once, with RocksDB.

    Its process also writes the results, after the timed part: a little of its processor time.

    Args:
        threads: how many stream threads.
    """

    def __init__(self, *, threads: int) -> None:
        self.name = f"streams-{threads}"
        self._threads = threads

    def missing(self) -> str | None:
        """Say whether Java, and for the first time a compiler and Maven, are here."""
        return _missing()

    def prepare(self) -> None:
        """Build the project."""
        _build()

    def command(self, servers: str, topic: str, count: int, folder: Path) -> list[str]:
        """Return the program; it keeps its state and ``results.jsonl`` in the folder."""
        arguments = [servers, topic, str(count), str(folder), str(self._threads)]
        return [*_program("StreamsFold"), *arguments]

    def results(self, folder: Path) -> Iterator[dict[str, Any]]:
        """Yield the lines of the file."""
        with (folder / "results.jsonl").open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)


def _installation() -> Path:
    """Return where jars and classes are kept: one folder for each state of the sources."""
    sources = sorted(_PROJECT.rglob("*.java"))
    text = b"".join(each.read_bytes() for each in (_POM, *sources))
    kept = maven.installation_folder("rivals", _POM, "kafka.version")
    return kept.with_name(f"{kept.name}-{hashlib.sha256(text).hexdigest()[:12]}")


def _missing() -> str | None:
    installation = _installation()
    missing = maven.missing_java(installation)
    if missing is None and not installation.is_dir() and shutil.which("javac") is None:
        return "a Java compiler is needed, javac is not on the PATH; install a JDK"
    return missing


def _build() -> None:
    maven.install(_POM, _installation(), _compile)


def _compile(folder: Path) -> None:
    options = [f"-Drivals.build={folder / 'target'}", "compile"]
    maven.run(["mvn", "-q", "-B", "-f", str(_POM), *options], cwd=folder)
    (folder / "target" / "classes").rename(folder / "classes")
    shutil.rmtree(folder / "target")


def _program(name: str) -> list[str]:
    installation = _installation()
    classes = f"{installation / 'classes'}:{installation / 'lib' / '*'}"
    return [maven.java(), *_FLAGS, "-cp", classes, f"rivals.{name}"]
