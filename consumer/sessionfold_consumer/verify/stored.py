"""What a store says at one moment: everything that is to be compared with the log."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..store import DeadLetter, Gap, LetterStatus, Position, SessionStore, TopicIdentity
from .reference import SessionKey, Values, columns

Place = tuple[int, int]
"""A partition and an offset."""

_SHORT_BYTES = 32


class Image(NamedTuple):
    """What a record is compared by. Of long bytes it holds the digest: garbage can be large."""

    timestamp: int
    key: str
    value: str
    headers: str


class Listed(NamedTuple):
    """A dead letter as the store lists it."""

    image: Image
    reason: str
    status: LetterStatus


@dataclass(frozen=True, kw_only=True, slots=True)
class Stored:
    """A store's content at one moment."""

    identity: TopicIdentity | None
    positions: dict[int, Position]
    gaps: list[Gap]
    letters: dict[Place, Listed]
    retried: dict[Place, tuple[bytes | None, bytes | None]]
    """Key and value of the wanted letters that were retried."""
    states: dict[SessionKey, Values]


def read_store(store: SessionStore, wanted: Collection[Place]) -> Stored:
    """Read all of a store, as it is at one moment.

    Args:
        store: what to read; others may write to it meanwhile.
        wanted: the places of dead letters whose bytes are needed once they are retried.
    """
    letters: dict[Place, Listed] = {}
    retried = {}
    names = columns()
    with store.snapshot():
        identity, positions, gaps = store.info().identity, store.positions(), store.gaps()
        for letter in store.dead_letters():
            place = letter.partition, letter.offset
            letters[place] = _listed(letter)
            if letter.status == "retried" and place in wanted:
                retried[place] = letter.key, letter.value
        states = {
            (state[names[0]], state["partition"]): tuple(map(state.__getitem__, names))
            for state in store.states()
        }
    return Stored(
        identity=identity,
        positions=positions,
        gaps=gaps,
        letters=letters,
        retried=retried,
        states=states,
    )


def image(
    timestamp: int,
    key: bytes | None,
    value: bytes | None,
    headers: Sequence[tuple[str, bytes | None]],
) -> Image:
    """Return what a record, or a dead letter, is compared by."""
    shown = [[name, _shown(content)] for name, content in headers]
    return Image(timestamp, _shown(key), _shown(value), json.dumps(shown))


def _listed(letter: DeadLetter) -> Listed:
    found = image(letter.timestamp, letter.key, letter.value, letter.headers)
    return Listed(found, letter.reason, letter.status)


def _shown(data: bytes | None) -> str:
    if data is None:
        return "null"
    if len(data) <= _SHORT_BYTES:
        return data.hex()
    return f"{len(data)} bytes, SHA-256 {hashlib.sha256(data).hexdigest()}"
