"""A module in a process of its own: asked with one JSON argument, it answers with one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]


def ask(module: str, question: Mapping[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Run ``python -m module JSON`` and return what its last line says.

    Raises:
        RuntimeError: when it fails; its standard error has been passed on.
    """
    ended = subprocess.run(
        [sys.executable, "-m", module, json.dumps(question)],
        cwd=_ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    if ended.returncode != 0:
        raise RuntimeError(f"{module} {question} ended with exit code {ended.returncode}")
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer
