"""The version that the package says it has."""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata

import sessionfold as lai

_LAZY = """
import sys
import sessionfold
assert "importlib.metadata" not in sys.modules
sessionfold.__version__
assert "importlib.metadata" in sys.modules
"""


def test_it_is_the_distributions() -> None:
    """What pip says, too."""
    assert lai.__version__ == metadata.version("sessionfold")


def test_it_costs_nothing_until_it_is_asked_for() -> None:
    """Importing the package does not look for its distribution."""
    subprocess.run([sys.executable, "-S", "-c", _path() + _LAZY], check=True)


def _path() -> str:
    """Return a first line that finds the packages without the ``site`` that loads metadata."""
    return f"import sys; sys.path[:] = {sys.path!r}"
