"""Which stores a program may work with, whatever their kind, and what a migration consists of.

A store's version is the newest numbered migration in it. It also keeps ``compatible_from``: the
version of the oldest program that can still work with it. So several services are upgraded one by
one: a migration that only adds (expand) leaves ``compatible_from`` as it is, and the old programs
go on with the newer store; a later one takes away what no program uses any more (contract), and
raises it.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import get_args

from sessionfold_schemas import by_version, current, published

from ..errors import StoreUnusableError
from ..state import columns_of
from . import sql
from .columns import Dialect, state_definitions, view_definitions
from .protocol import Generation

GENERATIONS: tuple[Generation, ...] = get_args(Generation)


@dataclass(frozen=True, kw_only=True, slots=True)
class Versions:
    """What a store says about the programs that can work with it."""

    version: int
    """The newest migration in the store; 0 for an empty database."""
    compatible_from: int
    """The lowest version that a program must know to work with the store as it is."""


def refuse_unknown(store: str, found: Versions, known: int) -> None:
    """Refuse a store that is too new for this program.

    Args:
        store: its name in the message; without a password.
        found: what it says of itself.
        known: the newest migration that this program knows.

    Raises:
        StoreUnusableError: when the store needs a newer program.
    """
    if found.compatible_from > known:
        raise StoreUnusableError(
            f"the store {store} is of version {found.version} and needs a program that knows "
            f"version {found.compatible_from}, this one knows up to {known}; upgrade sessionfold"
        )


def refuse_behind(store: str, found: Versions, known: int) -> None:
    """Refuse a store that this program would have to migrate first.

    Raises:
        StoreUnusableError: when migrations are missing in it.
    """
    if found.version < known:
        raise StoreUnusableError(
            f"the store {store} is of version {found.version}, this program works with "
            f"{known}; bring it up to date with: sessionfold store migrate"
        )


def refuse_other_contract(store: str, version: int, digest: str) -> None:
    """Refuse a store that was folded by rules which are not those of the contract's history.

    One of an earlier version is migrated. One of a later version has only more columns than this
    program writes, as long as :func:`refuse_unknown` lets it pass.

    Raises:
        StoreUnusableError: when its digest is not that of the published version of its number.
    """
    if version > current().version:
        return
    if digest not in {each.digest for each in published() if each.version == version}:
        raise StoreUnusableError(
            f"the store {store} was folded with version {version} of the contract "
            f"({digest[:12]}), which is none that this program knows; "
            "fold the topic into a new store (another --store)"
        )


def pending(found: Versions, known: int) -> range:
    """Return the numbers of the migrations that are missing in a store, in their order."""
    return range(found.version + 1, known + 1)


def statements(file: str, dialect: Dialect, contract_version: int, **expansions: str) -> list[str]:
    """Return a migration's statements; one that names the generation is there for each.

    A migration never changes, so the columns that are expanded in it are those of the contract's
    version 1; what later versions add is written out in the migration that adds it.

    Args:
        file: its file of SQL.
        dialect: how the database calls its types.
        contract_version: the version of the contract that a store is shaped by from then on.
        **expansions: what else stands in braces in the file.
    """
    first, contract = columns_of(by_version(1)), by_version(contract_version)
    texts = sql.statements(
        file,
        state_columns=",\n    ".join(state_definitions(dialect, first)),
        view_columns=",\n    ".join(view_definitions(dialect, first)),
        store_id=str(uuid.uuid4()),
        contract_version=str(contract.version),
        contract_digest=contract.digest,
        **expansions,
    ).values()
    return [
        text.replace("{generation}", generation)
        for text in texts
        for generation in (GENERATIONS if "{generation}" in text else GENERATIONS[:1])
    ]
