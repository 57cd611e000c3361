"""The package's one door."""

from __future__ import annotations

import inspect
import subprocess
import sys
import types
from contextvars import ContextVar

import pytest

import sessionfold as lai
import sessionfold.errors
import sessionfold.testing

LIGHT = """
import sys
import sessionfold
heavy = {"pydantic", "fastavro", "numpy", "confluent_kafka", "asyncio", "sessionfold_consumer"}
print(sorted(heavy & set(sys.modules)))
"""

TREE = """
SessionfoldError Exception
ConfigurationError SessionfoldError
InvalidFieldError SessionfoldError ValueError
ClosedError SessionfoldError
NotInitializedError SessionfoldError
NoActiveSessionError NotInitializedError
"""

ALIASES = {
    "LucidicError": "SessionfoldError",
    "LucidicNotInitializedError": "NotInitializedError",
    "InvalidOperationError": "InvalidFieldError",
    "APIKeyVerificationError": "ConfigurationError",
}


def test_the_package_exports_what_it_says() -> None:
    """``__all__`` is sorted and holds each public name: those that are there, and the lazy ones."""
    there = {
        name
        for name, value in vars(lai).items()
        if not name.startswith("_") and not isinstance(value, types.ModuleType)
    }
    assert set(lai.__all__) == there | {"Configuration", "Failure", "Stats"}
    assert lai.__all__ == sorted(lai.__all__, key=lambda name: (name[0].islower(), name))


def test_every_exported_name_can_be_had() -> None:
    """Also those that are loaded when they are asked for."""
    for name in lai.__all__:
        assert getattr(lai, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'colour'"):
        _ = lai.colour


def test_every_call_has_a_docstring() -> None:
    """Help is the first documentation that people see."""
    calls = [getattr(lai, name) for name in lai.__all__ if name[0].islower()]
    functions = [call for call in calls if callable(call)]
    assert [call.__name__ for call in functions if not inspect.getdoc(call)] == []


def test_the_current_session_is_a_context_variable() -> None:
    """Frameworks copy it with the context, whatever they know of this package."""
    assert isinstance(lai.current_session_id, ContextVar)
    assert lai.current_session_id.name == "current_session_id"


@pytest.mark.parametrize("line", TREE.strip().splitlines())
def test_the_errors_are_a_tree(line: str) -> None:
    """At top level and in ``sessionfold.errors``, the same classes, each with its contract."""
    name, *bases = line.split()
    error = getattr(lai, name)
    assert error is getattr(sessionfold.errors, name)
    assert [base.__name__ for base in error.__bases__] == bases
    assert (inspect.getdoc(error) or "").startswith(("Raised when", "Raised by", "Base of"))


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_old_except_clauses_still_catch(alias: str, name: str) -> None:
    """The names of the SDK that this one replaces are the same classes."""
    assert getattr(lai, alias) is getattr(sessionfold.errors, alias) is getattr(lai, name)


def test_every_error_is_exported_and_in_the_tree() -> None:
    """A new error cannot be forgotten at the door."""
    defined = {
        name
        for name, value in vars(sessionfold.errors).items()
        if isinstance(value, type) and issubclass(value, BaseException)
    }
    assert defined <= set(lai.__all__)
    assert defined == {line.split()[0] for line in TREE.strip().splitlines()} | set(ALIASES)


def test_importing_is_light() -> None:
    """A worker that never calls pays for nothing: no client, no pydantic, no numpy."""
    run = [sys.executable, "-W", "error", "-c", LIGHT]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_the_first_session_needs_no_consumer_and_no_numpy() -> None:
    """The base installation has neither; the Kafka client comes with the first session."""
    program = LIGHT.replace(
        "import sessionfold\n", "import sessionfold.testing as t, sessionfold as lai\n"
        "with t.record():\n"
        "    with lai.session(task='a'):\n"
        "        lai.update_session(session_eval='4.5')\n"
    )  # fmt: skip
    run = [sys.executable, "-W", "error", "-c", program]
    loaded = subprocess.run(run, capture_output=True, text=True, check=True).stdout
    assert "numpy" not in loaded
    assert "sessionfold_consumer" not in loaded
    assert "confluent_kafka" in loaded
