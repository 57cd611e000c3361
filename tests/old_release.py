"""A release as it was at version 1 of the contract, for processes of its own.

The packages of this checkout are copied with version 1 as the current one and without the store's
later migrations. All else is driven by the contract, so the copy is what an old release is to a new
one: it writes version 1, and knows no later schema and no later column.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from sessionfold_consumer.store import postgres_migrations, sqlite_migrations

VERSION = 1
"""Its version of the contract."""

_ROOT = Path(__file__).parents[1]
_PACKAGES = (
    "schemas/sessionfold_schemas",
    "producer/sessionfold",
    "consumer/sessionfold_consumer",
)


def make(folder: Path) -> dict[str, str]:
    """Copy the packages into a folder; return the environment in which Python takes them."""
    for package in _PACKAGES:
        copy = folder / Path(package).name
        shutil.copytree(_ROOT / package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    schemas = folder / "sessionfold_schemas"
    shutil.move(
        schemas / "published" / f"session_updated.v{VERSION}.avsc",
        schemas / "session_updated.avsc",
    )
    for later in (schemas / "published").glob("*.avsc"):
        later.unlink()
    for module in (sqlite_migrations, postgres_migrations):
        _forget_migrations(folder, module.__name__, module.CONTRACT_VERSIONS)
    return {"PYTHONPATH": str(folder)}


def _forget_migrations(folder: Path, module: str, contract_versions: dict[int, int]) -> None:
    """Let a copied module know those migrations only that its contract had."""
    path = folder / f"{module.replace('.', '/')}.py"
    newest = max(each for each, version in contract_versions.items() if version == VERSION)
    text, count = re.subn(
        r"^SCHEMA_VERSION = \d+$",
        f"SCHEMA_VERSION = {newest}",
        path.read_text(),
        flags=re.MULTILINE,
    )
    assert count == 1
    path.write_text(text)
