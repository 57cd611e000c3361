"""Which stores a program may work with, whatever their kind. Pure.

A store's version is the newest numbered migration in it. It also keeps ``compatible_from``: the
version of the oldest program that can still work with it. So several services are upgraded one by
one: a migration that only adds (expand) leaves ``compatible_from`` as it is, and the old programs
go on with the newer store; a later one takes away what no program uses any more (contract), and
raises it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sessionfold_schemas import current

from ..errors import StoreUnusableError


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
    """Refuse a store that was folded with another version of the contract.

    Raises:
        StoreUnusableError: when its digest is not that of this program's contract.
    """
    if digest != current().digest:
        raise StoreUnusableError(
            f"the store {store} was folded with version {version} of the contract "
            f"({digest[:12]}), this program has version {current().version} "
            f"({current().digest[:12]}); fold the topic into a new store (another --store)"
        )


def pending(found: Versions, known: int) -> range:
    """Return the numbers of the migrations that are missing in a store, in their order."""
    return range(found.version + 1, known + 1)
