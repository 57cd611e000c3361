"""Java programs for tests: their jars, fetched once with Maven and kept for every later run.

They are in ``.cache`` under the checkout; ``SESSIONFOLD_TEST_CACHE`` names another folder.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

FETCH_TIMEOUT_SECONDS = 600.0

_ROOT = Path(__file__).parents[2]
_LEAST_JAVA = 17
_HOW_TO_GET = "install them, on Debian: apt-get install default-jdk-headless maven."


class JavaError(Exception):
    """Raised when Maven or a Java program fails, with its own words."""


def java() -> str:
    """Return the command that runs Java: the one of ``JAVA_HOME``, else that on the PATH."""
    home = os.environ.get("JAVA_HOME")
    return str(Path(home, "bin", "java")) if home else "java"


def missing_java(installation: Path) -> str | None:
    """Return None when Java is here and ``installation`` is or can be, else one sentence why not.

    The sentence says what is missing and how to get it.
    """
    version = _java_version()
    if version is None or version < _LEAST_JAVA:
        found = "no Java" if version is None else f"Java {version}"
        return f"Java {_LEAST_JAVA}+ and Maven are needed, {found} was found; {_HOW_TO_GET}"
    if not installation.is_dir() and shutil.which("mvn") is None:
        return f"Maven is needed to fetch jars once, mvn is not on the PATH; {_HOW_TO_GET}"
    return None


def installation_folder(name: str, pom: Path, version_property: str) -> Path:
    """Return where the jars of ``pom`` are kept: one folder for each version of the product."""
    found = re.search(f"<{version_property}>(.+)</{version_property}>", pom.read_text())
    if found is None:
        raise JavaError(f"{pom.name} has no property {version_property}")
    cache = os.environ.get("SESSIONFOLD_TEST_CACHE")
    folder = Path(cache).resolve() if cache else _ROOT / ".cache"
    return folder / f"{name}-{found[1]}"


def install(pom: Path, installation: Path, finish: Callable[[Path], None] | None = None) -> None:
    """Fetch the jars of ``pom`` into ``lib`` under ``installation``, unless that was done before.

    Interrupted, it leaves no half installation; processes may do it at the same time.

    Args:
        pom: names the jars.
        installation: the folder to make.
        finish: called with the folder before it is put in its place.

    Raises:
        JavaError: when Maven fails.
    """
    if installation.is_dir():
        return
    cache = installation.parent
    cache.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{installation.name}.partial-", dir=cache))
    try:
        _fetch_jars(pom, partial)
        if finish is not None:
            finish(partial)
        _publish(partial, installation)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def run(command: Sequence[str], *, cwd: Path, stdin: str = "") -> str:
    """Run a program to its end and return what it printed.

    Raises:
        JavaError: with all it printed, when it fails or takes over ``FETCH_TIMEOUT_SECONDS``.
    """
    try:
        ended = subprocess.run(
            command,
            cwd=cwd,
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=FETCH_TIMEOUT_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise JavaError(f"{command[0]} failed: {error}") from error
    if ended.returncode != 0:
        words = ended.stdout + ended.stderr
        raise JavaError(f"{command[0]} failed with exit code {ended.returncode}:\n{words}")
    return ended.stdout


def _fetch_jars(pom: Path, folder: Path) -> None:
    goal = "dependency:copy-dependencies"
    options = [f"-DoutputDirectory={folder / 'lib'}", "-DincludeScope=runtime"]
    run(["mvn", "-q", "-B", "-f", str(pom), goal, *options], cwd=folder)


def _publish(partial: Path, installation: Path) -> None:
    """Put a whole installation in its place, in one step; one that is there already stays."""
    try:
        partial.rename(installation)
    except OSError:
        if not installation.is_dir():
            raise


def _java_version() -> int | None:
    try:
        answer = subprocess.run([java(), "-version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found[1]) if found else None
