"""``sessionfold schema``: the contract of the events."""

from __future__ import annotations

import json

import click

from sessionfold_schemas import Contract, published

from ..errors import NotFoundError
from . import _options


@click.group("schema")
def command() -> None:
    """Show what a SessionUpdated event is."""


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


def _contract(version: int | None) -> Contract:
    versions = {each.version: each for each in published()}
    found = versions.get(max(versions) if version is None else version)
    if found is None:
        known = ", ".join(map(str, versions))
        raise NotFoundError("version", str(version), f"this release, which knows {known}")
    return found
