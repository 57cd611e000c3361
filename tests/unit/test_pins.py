"""The pinned requirements: complete for what pyproject.toml asks for, and free of hosts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[2]
_PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def _asked() -> dict[str, list[str]]:
    """Return for each file what must be in it, by pyproject.toml."""
    project: dict[str, Any] = tomllib.loads((_ROOT / "pyproject.toml").read_text())
    run = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["consumer"],
        *project["project"]["optional-dependencies"]["postgres"],
    ]
    groups = project["dependency-groups"]
    build = [*groups["build"], *project["build-system"]["requires"]]
    dev = [requirement for requirement in groups["dev"] if isinstance(requirement, str)]
    return {
        "run.txt": run,
        "build.txt": build,
        "dev.txt": [*run, *build, *dev],
        "peers.txt": groups["peers"],
    }


@pytest.mark.parametrize("python", _PYTHONS)
@pytest.mark.parametrize("file", ["run.txt", "build.txt", "dev.txt", "peers.txt"])
def test_every_requirement_is_pinned_once_for_every_python(file: str, python: str) -> None:
    """A requirement that pyproject.toml gains or raises is pinned again with `make pins`."""
    for line in _asked()[file]:
        asked = Requirement(line)
        name = canonicalize_name(asked.name)
        found = [pin for pin in _pins(file, python) if canonicalize_name(pin.name) == name]
        assert len(found) == 1, f"{asked.name} in requirements/{file}; run: make pins"
        (version,) = found[0].specifier
        assert asked.specifier.contains(version.version), f"{found[0]} is not {asked}"


@pytest.mark.parametrize("file", ["run.txt", "build.txt", "dev.txt", "peers.txt"])
def test_pins_have_hashes_and_name_no_host(file: str) -> None:
    """Whoever serves the files, they are the same files."""
    text = (_ROOT / "requirements" / file).read_text()
    pins = [pin for pin in text.split("\n") if pin and not pin.startswith((" ", "#"))]
    assert pins
    assert all(pin.endswith(" \\") for pin in pins)
    assert "://" not in text


def _pins(file: str, python: str) -> list[Requirement]:
    lines = (_ROOT / "requirements" / file).read_text().splitlines()
    pins = [Requirement(line.removesuffix(" \\")) for line in lines if line[:1].isalnum()]
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    return [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
