"""The wheel: what people install, and what it runs with when they install nothing else."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from sessionfold_consumer.errors import MissingExtraError

_ROOT = Path(__file__).parents[2]
_PACKAGES = (
    "producer/sessionfold",
    "consumer/sessionfold_consumer",
    "schemas/sessionfold_schemas",
)
_SUFFIXES = {".py", ".avsc", ".sql", ".typed", ".md"}

_WORKER = """
import importlib.util, sys

sys.path.insert(0, sys.argv[1])
import confluent_kafka
import sessionfold as lai
from sessionfold.testing import record

assert importlib.util.find_spec("numpy") is importlib.util.find_spec("rich") is None
with record() as events:
    lai.init(session_name="base only")
    lai.update_session(session_eval=1)
    lai.end_session(is_successful=True)
    print(lai.__file__, len(events), lai.Configuration().topic)
"""

_COMMAND = """
import sys

sys.path.insert(0, sys.argv[1])
from sessionfold_consumer.cli import main

main(sys.argv[2:], prog_name="sessionfold")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel, built from this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(build, cwd=_ROOT, check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture
def base_only(wheel: Path, tmp_path: Path) -> Path:
    """A folder to import from: the wheel's packages, their base dependencies, nothing else."""
    ZipFile(wheel).extractall(tmp_path)
    for dependency in _closure(distribution("sessionfold"), set()):
        for entry in _top_level(dependency):
            (tmp_path / entry).symlink_to(str(dependency.locate_file(entry)))
    return tmp_path


def test_the_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    """Schemas, SQL and type markers included; no tests, no stray files."""
    held = [name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name]
    assert sorted(held) == sorted(
        file.relative_to((_ROOT / package).parent).as_posix()
        for package in _PACKAGES
        for file in (_ROOT / package).rglob("*")
        if file.suffix in _SUFFIXES
    )


def test_the_wheel_carries_licence_command_and_type_markers(wheel: Path) -> None:
    """What tools look for beside the code."""
    held = ZipFile(wheel).namelist()
    (metadata,) = {name.partition("/")[0] for name in held if ".dist-info/" in name}
    assert f"{metadata}/licenses/LICENSE" in held
    assert {f"{Path(package).name}/py.typed" for package in _PACKAGES} <= set(held)
    commands = ZipFile(wheel).read(f"{metadata}/entry_points.txt").decode()
    assert "sessionfold = sessionfold_consumer.cli:main" in commands


def test_the_base_install_runs_a_worker(base_only: Path) -> None:
    """The SDK needs neither numpy nor anything else of an extra, and is the wheel's own copy."""
    ended = _run(base_only, _WORKER)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip() == f"{base_only}/sessionfold/__init__.py 3 session-updates"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["schema", "fingerprint"],
        ["run", "--help"],
    ],
)
def test_the_base_install_has_the_command(base_only: Path, arguments: list[str]) -> None:
    """Its help and what needs no extra work."""
    ended = _run(base_only, _COMMAND, *arguments)
    assert ended.returncode == 0, ended.stderr


@pytest.mark.parametrize("name", ["run", "dev"])
def test_a_command_names_the_extra_that_it_misses(base_only: Path, name: str) -> None:
    """One sentence with what to install, and its exit code."""
    ended = _run(base_only, _COMMAND, name, "--store", f"sqlite:///{base_only}/sessions.db")
    assert ended.returncode == MissingExtraError.exit_code, ended.stderr
    assert "pip install 'sessionfold[consumer]'" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def _run(folder: Path, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a program that sees the standard library and ``folder`` to import from."""
    command = [sys.executable, "-I", "-S", "-c", program, str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def _closure(dependent: Distribution, seen: set[str]) -> Iterator[Distribution]:
    """Yield all that a distribution needs without extras, each once."""
    for line in dependent.requires or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if requirement.name not in seen and (marker is None or marker.evaluate({"extra": ""})):
            seen.add(requirement.name)
            needed = distribution(requirement.name)
            yield needed
            yield from _closure(needed, seen)


def _top_level(installed: Distribution) -> set[str]:
    """Return the files and folders that a distribution put beside the others, its scripts not."""
    return {file.parts[0] for file in installed.files or [] if file.parts[0] != ".."}
