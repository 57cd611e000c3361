"""The public surface is typed: mypy's strict mode accepts its use, and refuses misuse."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import sessionfold as lai

PUBLIC_USE = Path(__file__).with_name("public_use.py")
ROOT = Path(__file__).parents[2]


def test_the_checked_file_uses_every_public_name() -> None:
    """A new call cannot be forgotten there."""
    used = {
        node.attr
        for node in ast.walk(ast.parse(PUBLIC_USE.read_text("utf-8")))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "lai"
    }
    assert set(lai.__all__) - used == set()


def test_mypy_accepts_what_is_allowed_and_refuses_what_is_not() -> None:
    """Each refusal is marked in the file, and a mark that is not needed is an error, too."""
    check = [sys.executable, "-m", "mypy", str(PUBLIC_USE)]
    ended = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
