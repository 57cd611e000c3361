"""Log lines: one an event, whatever it says, for people and for programs."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.cli._logging import ConsoleFormatter, JsonFormatter
from tests.unit.consumer.conftest import CommandLine

HOSTILE = [
    "two\nlines",
    "2026-01-01T00:00:00Z ERROR forged\r\n2026-01-01T00:00:00Z INFO more",
    "\x1b]0;title\x07\x1b[2J",
    "\u2028\u2029\x85\x0b\x0c",
    "\u202eturned around\u2066",
    '", "level": "critical", "x": "',
    "\x00\x7f\x9b31m",
    "\ud800 alone",
    "{message} %s %(name)s",
]
"""Texts that would forge lines, steer terminals, or break a format."""


@pytest.fixture(autouse=True)
def _undone(monkeypatch: pytest.MonkeyPatch) -> None:
    """What setting logs up does to the whole process ends with the test."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(logging.lastResort, "formatter", None)


def record(message: str, *arguments: object, **extra: Any) -> logging.LogRecord:  # noqa: ANN401
    """Return an event as a logger makes it."""
    ours = logging.getLogger("sessionfold_consumer")
    return ours.makeRecord(
        ours.name, logging.WARNING, __file__, 1, message, arguments, None, extra=extra
    )


def failed() -> logging.LogRecord:
    """Return an event with a traceback."""
    made = record("it failed")
    try:
        raise ValueError("what\nwas said")
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("formatter", [ConsoleFormatter(), JsonFormatter()])
def test_an_event_is_one_line(formatter: logging.Formatter, text: str) -> None:
    """Also when somebody else chose what it says; a terminal sees nothing but text."""
    line = formatter.format(record("said: %s", text, topic=text))
    assert line.isprintable()
    assert len(line.splitlines()) == 1


@given(st.text())
def test_a_program_reads_what_was_said(text: str) -> None:
    """JSON gives every text back as it was."""
    event = json.loads(JsonFormatter().format(record("said: %s", text, topic=text)))
    assert (event["message"], event["topic"]) == (f"said: {text}", text)


@given(st.text())
def test_a_person_reads_what_was_said(text: str) -> None:
    """What can be printed stands as it is, the rest as Python writes it."""
    line = ConsoleFormatter().format(record("%s", text))
    assert line.isprintable()
    if text.isprintable():
        assert line.endswith(f"Z WARNING {text}")


def test_the_fields_of_an_event() -> None:
    """Time in UTC to the millisecond, level, logger, message, and what was given beside."""
    made = record("%d partitions", 3, partitions=[0, 1, 2], level="forged")
    made.created = 1_700_000_000.25
    assert json.loads(JsonFormatter().format(made)) == {
        "timestamp": "2023-11-14T22:13:20.250Z",
        "level": "warning",
        "logger": "sessionfold_consumer",
        "message": "3 partitions",
        "partitions": [0, 1, 2],
    }


def test_what_has_no_json_is_told_as_text() -> None:
    """A line is never lost for what was given beside it."""
    event = json.loads(JsonFormatter().format(record("x", where=ConsoleFormatter)))
    assert event["where"] == str(ConsoleFormatter)


@pytest.mark.parametrize("formatter", [ConsoleFormatter(), JsonFormatter()])
def test_a_traceback_is_part_of_the_line(formatter: logging.Formatter) -> None:
    """It is neither lost nor lines of its own."""
    line = formatter.format(failed())
    assert len(line.splitlines()) == 1
    assert "it failed" in line
    assert "Traceback" in line
    assert "ValueError: what" in line


def test_a_line_for_people_has_time_level_and_message() -> None:
    """As it always had."""
    line = ConsoleFormatter().format(record("waiting"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ WARNING waiting", line)


@pytest.mark.parametrize(
    "arguments",
    [{"option": ["--log-format", "json"]}, {"variable": {"SESSIONFOLD_LOG_FORMAT": "json"}}],
)
def test_an_error_that_ends_a_command_is_a_line_too(
    cli: CommandLine, arguments: Mapping[str, Any]
) -> None:
    """So that a program that reads the log reads all of it; the exit code is in it."""
    given_options = arguments.get("option", [])
    result = cli(
        *given_options, "list", "--store", "sqlite:////no/such.db", **arguments.get("variable", {})
    )
    (line,) = result.stderr.splitlines()
    event = json.loads(line)
    assert result.exit_code == event["exit_code"] == 9
    assert event["level"] == "error"
    assert event["message"].startswith("there is no store at ")


def test_an_unknown_format_is_code_2(cli: CommandLine) -> None:
    """Named with those that there are."""
    result = cli("--log-format", "xml", "list")
    assert result.exit_code == 2
    assert "'console', 'json'" in result.stderr


_DEFECT = """
import logging, threading
from sessionfold_consumer.cli._logging import set_up_logging
set_up_logging(verbose=False, log_format="json")
logging.getLogger("another.package").warning("two\\nlines")
raise ZeroDivisionError("a\\ndefect")
"""


def test_other_packages_and_defects_are_lines_too() -> None:
    """What is not ours, and what nobody expected: each an object, the process ends with 1."""
    ended = subprocess.run(
        [sys.executable, "-c", _DEFECT], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    others, defect = map(json.loads, ended.stderr.splitlines())
    assert (others["logger"], others["message"]) == ("another.package", "two\nlines")
    assert defect["level"] == "critical"
    assert defect["exception"].endswith("ZeroDivisionError: a\ndefect")
