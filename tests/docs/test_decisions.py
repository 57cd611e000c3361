"""What the decisions say of the project's files."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from packaging.requirements import Requirement

from tests.docs import markdown

_PAGE = markdown.ROOT / "docs" / "decisions" / "0002-dependencies.md"
_PROJECT: dict[str, Any] = tomllib.loads((markdown.ROOT / "pyproject.toml").read_text())


def _names(requirements: list[Any]) -> list[str]:
    return [Requirement(each).name for each in requirements if isinstance(each, str)]


def test_every_dependency_has_its_reason() -> None:
    """A row for each that is installed with the package, and no row for one that is not."""
    project = _PROJECT["project"]
    extras = [_names(extra) for extra in project["optional-dependencies"].values()]
    installed = sorted(sum(extras, _names(project["dependencies"])))
    rows = [row[0] for row in markdown.tables(_PAGE)["Decision"]]
    assert sorted(rows) == installed


def test_every_tool_of_development_is_named() -> None:
    """Those of the build, too."""
    text = _PAGE.read_text("utf-8")
    tools = {name for group in _PROJECT["dependency-groups"].values() for name in _names(group)}
    assert {name for name in tools if not re.search(rf"\b{re.escape(name)}\b", text)} == set()
