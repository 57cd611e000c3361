"""The command line as it is: every command, and what may be written behind it."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import click

from sessionfold import Configuration
from sessionfold_consumer.cli import main

_ROOT = Path(__file__).parents[2]


@cache
def all_commands() -> dict[str, click.Command]:
    """Return every command by what is typed for it, as ``sessionfold topic create``."""
    return _walk("sessionfold", main)


def help_text(name: str) -> str:
    """Return what ``--help`` prints for a command."""
    command = all_commands()[name]
    return command.get_help(_context(command, name))


def variables() -> set[str]:
    """Return every environment variable that an option takes its value from."""
    return {
        str(parameter.envvar)
        for command in all_commands().values()
        for parameter in command.params
        if parameter.envvar
    }


def known_variables() -> set[str]:
    """Return every variable that something reads: an option, the SDK, or the tests."""
    fields = Configuration.model_fields
    tests = re.findall(r"SESSIONFOLD_\w+", (_ROOT / "tests" / "conftest.py").read_text())
    return {*variables(), *(f"SESSIONFOLD_{name.upper()}" for name in fields), *tests}


def problem(words: list[str]) -> str | None:
    """Say what is wrong with a typed command line, or return None when it could be run.

    Args:
        words: what is typed, ``sessionfold`` first. Values are not judged.
    """
    path, rest = words[0], words[1:]
    while rest and f"{path} {rest[0]}" in all_commands():
        path = f"{path} {rest.pop(0)}"
    command = all_commands()[path]
    if isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        return f"there is no command {path} {rest[0]}"
    known = set(command.get_help_option_names(_context(command))) | {
        name for parameter in command.params for name in parameter.opts
    }
    unknown = [w for w in rest if w.startswith("-") and w.partition("=")[0] not in known]
    return f"{path} has no option {unknown[0]}" if unknown else None


def _context(command: click.Command, name: str | None = None) -> click.Context:
    """Return a context as the command line makes it: click keeps the help option it makes first."""
    return click.Context(command, info_name=name, **main.context_settings)


def _walk(path: str, command: click.Command) -> dict[str, click.Command]:
    found = {path: command}
    if isinstance(command, click.Group):
        context = _context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, f"{path} lists {name}, which it does not have"
            found |= _walk(f"{path} {name}", inner)
    return found
