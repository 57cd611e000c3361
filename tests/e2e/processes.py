"""Workers as processes of their own, whose settings come from the environment."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.conftest import ROOT

NOWHERE = "127.0.0.1:9"
"""Where no broker is."""

_SHORT = {"servers": "bootstrap_servers", "spool": "spool_directory"}


def ended(arguments: Sequence[str], *, timeout_seconds: float, settings: Mapping[str, Any]) -> str:
    """Run Python to its end, which must be a good one; return what it printed.

    Args:
        settings: the SDK's, by name; ``servers`` and ``spool`` for the two that each test gives.
    """
    given = {f"SESSIONFOLD_{_SHORT.get(k, k).upper()}": str(v) for k, v in settings.items()}
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env={**os.environ, **given},
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout


def run(program: str, **settings: Any) -> None:  # noqa: ANN401 - settings of the SDK
    """Run a program to its end, with no broker."""
    ended(
        ["-c", textwrap.dedent(program)],
        timeout_seconds=60.0,
        settings={"servers": NOWHERE, **settings},
    )
