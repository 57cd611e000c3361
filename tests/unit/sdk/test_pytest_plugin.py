"""The pytest plugin: there where the package is installed, light, and as the guide shows it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from sessionfold.testing import Events
from tests.docs import markdown

_GUIDE = markdown.ROOT / "docs" / "guide.md"

_TESTS = """
import sessionfold as lai

def test_one(sessionfold_events):
    assert list(sessionfold_events) == []
    lai.init(task="a")
    assert [event["task"] for event in sessionfold_events] == ["a"]

def test_another_begins_with_nothing(sessionfold_events):
    assert list(sessionfold_events) == []
    assert lai.get_session_id() is None
"""

_LIGHT = """
import sys
import sessionfold.pytest_plugin
heavy = {"pydantic", "fastavro", "confluent_kafka", "sessionfold.testing"}
print(sorted(heavy & set(sys.modules)))
"""


def run_pytest(folder: Path, tests: str) -> subprocess.CompletedProcess[str]:
    """Run tests in a process of their own, as somebody's project does."""
    (folder / "test_worker.py").write_text(tests)
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_the_fixture_records_what_the_test_publishes(sessionfold_events: Events) -> None:
    """In this very run: nobody asked for the plugin."""
    assert isinstance(sessionfold_events, Events)


def test_each_test_has_its_own_events(tmp_path: Path) -> None:
    """What one has published, and the session it has left open, is not there in the next."""
    ended = run_pytest(tmp_path, _TESTS)
    assert "2 passed" in ended.stdout, ended.stdout + ended.stderr


def test_the_guides_example_is_a_test_that_passes(tmp_path: Path) -> None:
    """As it stands there, by itself."""
    blocks = markdown.blocks(_GUIDE, "python")
    (example,) = [block for block in blocks if "sessionfold_events" in block.text]
    ended = run_pytest(tmp_path, example.text)
    assert "1 passed" in ended.stdout, ended.stdout + ended.stderr


def test_loading_it_is_light() -> None:
    """Every run of every project pays for it, whether it has a worker or not."""
    run = [sys.executable, "-W", "error", "-c", _LIGHT]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "[]\n"
