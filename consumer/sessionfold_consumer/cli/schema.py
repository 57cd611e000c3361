"""``sessionfold schema``: the contract of the events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from sessionfold_schemas import Contract, contract_findings, contract_of, published

from ..errors import ConfigurationError, ContractBrokenError, NotFoundError
from . import _options
from ._output import printable

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group("schema")
def command() -> None:
    """Show what a SessionUpdated event is, and check a next version of it."""


@command.command("show")
@click.option(
    "--version", type=int, metavar="N", help="A published version; the current by default."
)
def show(version: int | None) -> None:
    """Print the Avro schema, with the meaning, unit and fold rule of every field."""
    click.echo(json.dumps(_contract(version).avro_schema, indent=2, ensure_ascii=False))


@command.command("fingerprint")
@_options.as_json
def fingerprint(as_json: bool) -> None:
    """Print each published version's fingerprint (as on the wire) and contract digest (SHA-256)."""
    rows = [
        {"version": each.version, "fingerprint": each.fingerprint.hex(), "digest": each.digest}
        for each in published()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"version {row['version']}  {row['fingerprint']}  sha256:{row['digest']}")


@command.command("check")
@click.argument("file", type=_FILE)
@click.option(
    "--against", type=_FILE, help="The version that it is to follow; the newest published one."
)
def check(file: Path, against: Path | None) -> None:
    """Check that the contract in FILE may follow the version before it; list what is wrong.

    A published version is checked against the one that was published before it.
    """
    schema = _read(file)
    before = _before(schema) if against is None else _contract_in(against)
    found = contract_findings(schema, before)
    for each in found:
        click.echo(printable(each))
    if found:
        raise ContractBrokenError(printable(str(file)), len(found))
    version = schema["version"]
    follows = f"follows version {before.version}" if before else "is the first"
    click.echo(f"version {version} {follows}: nothing breaks")


def _before(schema: Any) -> Contract | None:  # noqa: ANN401 - whatever the file holds
    """Return the version that a contract is to follow; None for the first one that there was."""
    versions = published()
    for before, each in zip((None, *versions), versions, strict=False):
        if schema == each.avro_schema:
            return before
    return versions[-1]


def _contract_in(file: Path) -> Contract:
    schema = _read(file)
    problems = contract_findings(schema, None)
    if problems:
        raise ConfigurationError(
            f"{printable(str(file))} is no contract to check against: {printable(problems[0])}"
        )
    return contract_of(schema)


def _read(file: Path) -> Any:  # noqa: ANN401 - whatever the file holds
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigurationError(
            f"{printable(str(file))} cannot be read as JSON: {printable(str(error))}; "
            "name an .avsc file"
        ) from error


def _contract(version: int | None) -> Contract:
    versions = {each.version: each for each in published()}
    found = versions.get(max(versions) if version is None else version)
    if found is None:
        known = ", ".join(map(str, versions))
        raise NotFoundError("version", str(version), f"this release, which knows {known}")
    return found
