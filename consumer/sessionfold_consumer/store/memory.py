"""The reference store: plain dictionaries, the merge rules one by one. For tests and tools."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

from sessionfold_schemas import current

from ..errors import FencedError, StoreUnusableError, TopicChangedError
from ..state import Row, State, StateColumn, state_columns
from .messages import changed_message, missing_message
from .protocol import Advance, DeadLetter, Position, Selection, StoreInfo, TopicIdentity


class MemoryStore:
    """Keeps everything in this process; see :class:`SessionStore` for the behaviour."""

    def __init__(self) -> None:
        self._info = StoreInfo(
            store_id=str(uuid.uuid4()),
            contract_version=current().version,
            contract_digest=current().digest,
            identity=None,
        )
        self._positions: dict[int, Position] = {}
        self._states: dict[tuple[str, int], State] = {}
        self._dead_letters: dict[tuple[int, int], DeadLetter] = {}

    def info(self) -> StoreInfo:
        """Return what this store is the fold of."""
        return self._info

    def bind(self, identity: TopicIdentity, first_offsets: Mapping[int, int]) -> None:
        """Tie a new store to its topic."""
        if self._info.identity is None:
            self._info = replace(self._info, identity=identity)
            self._positions = {
                partition: Position(partition=partition, next_offset=offset, owner_epoch=0)
                for partition, offset in first_offsets.items()
            }
        elif self._info.identity != identity:
            raise TopicChangedError(changed_message(self._info.identity, identity))

    def positions(self) -> dict[int, Position]:
        """Return the position of every partition."""
        return dict(self._positions)

    def claim(self, partitions: Sequence[int], owner: str) -> dict[int, Position]:  # noqa: ARG002
        """Take partitions over."""
        for partition in partitions:
            if partition not in self._positions:
                raise StoreUnusableError(missing_message(partition))
        for partition in partitions:
            held = self._positions[partition]
            self._positions[partition] = replace(held, owner_epoch=held.owner_epoch + 1)
        return {partition: self._positions[partition] for partition in partitions}

    def commit(
        self, advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
    ) -> None:
        """Merge rows, keep dead letters and advance positions."""
        positions = dict(self._positions)
        for advance in advances:
            partition = advance.position.partition
            if positions.get(partition) != advance.position:
                raise FencedError(partition)
            positions[partition] = replace(advance.position, next_offset=advance.next_offset)
        states = self._merged(rows)
        letters = {(letter.partition, letter.offset): letter for letter in reversed(dead_letters)}
        self._positions = positions
        self._states |= states
        self._dead_letters = letters | self._dead_letters

    def get(self, session_id: str) -> list[State]:
        """Return the session's states."""
        return [state for state in self.states() if state[current().key.name] == session_id]

    def select(self, selection: Selection) -> Iterator[State]:
        """Return the states of the selected sessions."""
        chosen = [state for state in self._states.values() if _matches(state, selection)]
        chosen.sort(
            key=lambda s: (-s["last_occurred_at"], s["session_id"].encode(), s["partition"])
        )
        return map(dict, chosen[: selection.limit])

    def states(self) -> Iterator[State]:
        """Return all states in order."""
        for key in sorted(self._states, key=lambda key: (key[0].encode(), key[1])):
            yield dict(self._states[key])

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Return all dead letters in order."""
        for key in sorted(self._dead_letters):
            yield self._dead_letters[key]

    def snapshot(self) -> AbstractContextManager[None]:
        """Do nothing: an instance belongs to one thread, so nothing else changes it."""
        return nullcontext()

    def close(self) -> None:
        """Do nothing."""

    def _merged(self, rows: Sequence[Row]) -> dict[tuple[str, int], State]:
        """Return the states that rows change, without changing any."""
        columns = state_columns()
        changed: dict[tuple[str, int], State] = {}
        for row in rows:
            new: State = dict(zip((c.name for c in columns), row, strict=True))
            key = (new[current().key.name], new["partition"])
            stored = changed.get(key) or self._states.get(key)
            changed[key] = {c.name: merged(c, stored, new) for c in columns} if stored else new
        return changed


def merged(column: StateColumn, stored: State, new: State) -> Any:  # noqa: ANN401 - a state value
    """Return one column's value after ``new`` is merged into ``stored``."""
    old_value, new_value = stored[column.name], new[column.name]
    match column.merge:
        case "key":
            return old_value
        case "least":
            return min(old_value, new_value)
        case "greatest":
            return max(old_value, new_value)
        case "add":
            return old_value + new_value
        case "offset":
            return new_value if _wins(column.prefers, old_value, new_value) else old_value
        case "earliest" | "latest":
            assert column.decided_by is not None  # noqa: S101 - by construction
            offsets = stored[column.decided_by], new[column.decided_by]
            return new_value if _wins(column.merge, *offsets) else old_value


def _wins(prefers: str | None, stored: int | None, new: int | None) -> bool:
    if new is None or stored is None:
        return new is not None
    return new < stored if prefers == "earliest" else new > stored


def _matches(state: State, selection: Selection) -> bool:
    finished = state["is_finished"] is True
    if selection.status != "all" and finished != (selection.status == "finished"):
        return False
    before = selection.last_occurred_before
    return before is None or state["last_occurred_at"] < before
