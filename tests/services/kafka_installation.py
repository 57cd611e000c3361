"""Kafka's jars, fetched once with Maven and kept for every later run.

They are in ``.cache`` under the checkout; ``SESSIONFOLD_TEST_CACHE`` names another folder.
"""

from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .kafka_configuration import lines, new_cluster_id, properties

FETCH_TIMEOUT_SECONDS = 600.0

_POM = Path(__file__).with_name("kafka-pom.xml")
_ROOT = Path(__file__).parents[2]
_LEAST_JAVA = 17


class KafkaError(Exception):
    """Raised when the broker's jars cannot be fetched or the broker does not come up."""


@functools.cache
def kafka_available() -> str | None:
    """Return None when a broker can run here, else one sentence: what is missing, how to get it."""
    version = _java_version()
    if version is None or version < _LEAST_JAVA:
        found = "none was found" if version is None else f"version {version} was found"
        return (
            f"Kafka needs Java {_LEAST_JAVA} or newer on the PATH and {found}; "
            "install a JDK, on Debian: apt-get install openjdk-17-jre-headless maven."
        )
    if not _installation().is_dir() and shutil.which("mvn") is None:
        return (
            "Kafka's jars are fetched once with Maven, and mvn is not on the PATH; "
            "install it, on Debian: apt-get install maven."
        )
    return None


def install() -> Path:
    """Fetch the broker's jars and format its first metadata, unless that was done before.

    Interrupted, it leaves no half installation; processes may do it at the same time.

    Returns:
        The folder with ``lib/*.jar`` and ``bootstrap.checkpoint``.

    Raises:
        KafkaError: with Maven's or Kafka's own words when it fails.
    """
    installation = _installation()
    if installation.is_dir():
        return installation
    installation.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(
        tempfile.mkdtemp(prefix=installation.name + ".partial-", dir=installation.parent)
    )
    try:
        _fetch_jars(partial)
        _format_metadata(partial)
        _publish(partial, installation)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return installation


def _installation() -> Path:
    cache = os.environ.get("SESSIONFOLD_TEST_CACHE")
    folder = Path(cache).resolve() if cache else _ROOT / ".cache"
    return folder / f"kafka-{_kafka_version()}"


def _kafka_version() -> str:
    found = re.search("<kafka.version>(.+)</kafka.version>", _POM.read_text())
    if found is None:
        raise KafkaError(f"{_POM.name} has no property kafka.version")
    return found[1]


def _fetch_jars(folder: Path) -> None:
    goal = "dependency:copy-dependencies"
    options = [f"-DoutputDirectory={folder / 'lib'}", "-DincludeScope=runtime"]
    _run(["mvn", "-q", "-B", "-f", str(_POM), goal, *options], cwd=folder)


def _format_metadata(folder: Path) -> None:
    """Let Kafka write the record that switches its features on; every broker starts from a copy.

    Without it a broker starts with all features at 0, and KIP-848 groups fail.
    """
    data = folder / "format"
    settings = folder / "format.properties"
    settings.write_text(lines(properties(9092, 9093, data)))
    tool = ["kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", str(settings)]
    _run([java(), "-cp", "lib/*", *tool], cwd=folder)
    (data / "bootstrap.checkpoint").rename(folder / "bootstrap.checkpoint")
    shutil.rmtree(data)
    settings.unlink()


def _publish(partial: Path, installation: Path) -> None:
    """Put a whole installation in its place, in one step; one that is there already stays."""
    try:
        partial.rename(installation)
    except OSError:
        if not installation.is_dir():
            raise


def _run(command: Sequence[str], *, cwd: Path) -> None:
    try:
        subprocess.run(
            command,
            cwd=cwd,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=FETCH_TIMEOUT_SECONDS,
        )
    except subprocess.CalledProcessError as error:
        raise KafkaError(
            f"{command[0]} failed with exit code {error.returncode}:\n{error.stdout}"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KafkaError(f"{command[0]} failed: {error}") from error


def java() -> str:
    """Return the command that runs Java: the one of ``JAVA_HOME``, else that on the PATH."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home, "bin", "java")) if home else "java"


def _java_version() -> int | None:
    try:
        answer = subprocess.run([java(), "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found[1]) if found else None
