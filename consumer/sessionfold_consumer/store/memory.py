"""The reference store: plain dictionaries, the merge rules one by one. For tests and tools."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import Any, get_args

from sessionfold_schemas import current

from ..errors import (
    FencedError,
    NotFoundError,
    PositionMissingError,
    TopicChangedError,
)
from ..state import Row, State, StateColumn, state_columns
from .messages import changed_message
from .protocol import (
    Advance,
    DeadLetter,
    Gap,
    Generation,
    LetterStatus,
    Position,
    Selection,
    SetAside,
    StoreInfo,
    TopicIdentity,
)


@dataclass(slots=True)
class Tables:
    """What a generation has."""

    positions: dict[int, Position] = field(default_factory=dict)
    states: dict[tuple[str, int], State] = field(default_factory=dict)
    dead_letters: dict[tuple[int, int], DeadLetter] = field(default_factory=dict)
    gaps: list[Gap] = field(default_factory=list)

    def copy(self) -> Tables:
        """Return tables with the same rows, which themselves are never changed."""
        return Tables(
            dict(self.positions), dict(self.states), dict(self.dead_letters), list(self.gaps)
        )


@dataclass(slots=True)
class Shelf:
    """Both generations of a store, and what it says of itself."""

    info: StoreInfo
    generations: dict[Generation, Tables]


class MemoryStore:
    """Keeps everything in this process; see :class:`SessionStore` for the behaviour."""

    def __init__(self) -> None:
        info = StoreInfo(
            store_id=str(uuid.uuid4()),
            contract_version=current().version,
            contract_digest=current().digest,
            identity=None,
        )
        self.shelf = Shelf(info, {each: Tables() for each in get_args(Generation)})

    def info(self) -> StoreInfo:
        """Return what this store is the fold of."""
        return self.shelf.info

    @property
    def tables(self) -> Tables:
        """The tables of the live generation."""
        return self.shelf.generations[self.shelf.info.generation]

    def bind(self, identity: TopicIdentity, first_offsets: Mapping[int, int]) -> None:
        """Tie a new store to its topic."""
        if self.shelf.info.identity is None:
            self.shelf.info = replace(self.shelf.info, identity=identity)
            self.tables.positions = {
                partition: Position(
                    partition=partition, next_offset=offset, owner_epoch=0, first_offset=offset
                )
                for partition, offset in first_offsets.items()
            }
        elif self.shelf.info.identity != identity:
            raise TopicChangedError(changed_message(self.shelf.info.identity, identity))

    def positions(self) -> dict[int, Position]:
        """Return the position of every partition."""
        return dict(self.tables.positions)

    def claim(self, partitions: Sequence[int], owner: str) -> dict[int, Position]:  # noqa: ARG002
        """Take partitions over."""
        for partition in partitions:
            if partition not in self.tables.positions:
                raise PositionMissingError(partition)
        for partition in partitions:
            held = self.tables.positions[partition]
            self.tables.positions[partition] = replace(held, owner_epoch=held.owner_epoch + 1)
        return {partition: self.tables.positions[partition] for partition in partitions}

    def attempt(self, positions: Sequence[Position]) -> None:
        """Count that this process is about to fold from these positions."""
        counted = {}
        for position in positions:
            held = self._held(self.tables.positions, position)
            attempts = max(held.attempts, position.attempts) + 1
            counted[position.partition] = replace(held, attempts=attempts)
        self.tables.positions |= counted

    def spare(self, positions: Sequence[Position]) -> None:
        """Take back what this process counted."""
        for position in positions:
            held = self.tables.positions.get(position.partition)
            if held and held.next_offset == position.next_offset and held.attempts:
                counted = replace(held, attempts=held.attempts - 1)
                self.tables.positions[held.partition] = counted

    def commit(
        self, advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
    ) -> None:
        """Merge rows, keep dead letters and advance positions."""
        positions = dict(self.tables.positions)
        for advance in advances:
            held = self._held(positions, advance.position)
            positions[held.partition] = replace(held, next_offset=advance.next_offset, attempts=0)
        states = self._merged(rows)
        letters = {(letter.partition, letter.offset): letter for letter in reversed(dead_letters)}
        self.tables.positions = positions
        self.tables.states |= states
        self.tables.dead_letters = letters | self.tables.dead_letters

    def accept_gap(self, position: Position, end: int) -> Position:
        """Move a position over records that the log no longer has."""
        held = self._held(self.tables.positions, position)
        moved = replace(held, next_offset=end, attempts=0)
        self.tables.positions[held.partition] = moved
        self.tables.gaps.append(Gap(partition=held.partition, first=held.next_offset, end=end))
        return moved

    def gaps(self) -> list[Gap]:
        """Return the gaps that were accepted, in order."""
        return sorted(self.tables.gaps, key=lambda gap: (gap.partition, gap.first))

    def resolve(
        self, letters: Sequence[DeadLetter], status: LetterStatus, rows: Sequence[Row] = ()
    ) -> None:
        """Give open dead letters another status and merge rows."""
        changed = {}
        for letter in letters:
            place = letter.partition, letter.offset
            stored = self.tables.dead_letters.get(place)
            if stored is None or stored.status != "open" or place in changed:
                raise NotFoundError("open dead letter", f"{place[0]}:{place[1]}", "this store")
            changed[place] = stored._replace(status=status)
        self.tables.states |= self._merged(rows)
        self.tables.dead_letters |= changed

    def stop(self, reason: str) -> None:
        """Keep that the service stopped itself, and why."""
        self.shelf.info = replace(self.shelf.info, stopped=reason)

    def resume(self) -> None:
        """Let a service that stopped itself start again."""
        self.shelf.info = replace(self.shelf.info, stopped=None)

    def get(self, session_id: str) -> list[State]:
        """Return the session's states."""
        return [state for state in self.states() if state[current().key.name] == session_id]

    def select(self, selection: Selection) -> Iterator[State]:
        """Return the states of the selected sessions."""
        chosen = [state for state in self.tables.states.values() if _matches(state, selection)]
        chosen.sort(
            key=lambda s: (-s["last_occurred_at"], s["session_id"].encode(), s["partition"])
        )
        return map(_copy, chosen[: selection.limit])

    def states(self) -> Iterator[State]:
        """Return all states in order."""
        for key in sorted(self.tables.states, key=lambda key: (key[0].encode(), key[1])):
            yield _copy(self.tables.states[key])

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Return all dead letters in order."""
        for key in sorted(self.tables.dead_letters):
            yield self.tables.dead_letters[key]

    def set_aside(self) -> SetAside:
        """Count the open dead letters of each session."""
        letters = [each for each in self.tables.dead_letters.values() if each.status == "open"]
        named = [(each.session_id, each.partition) for each in letters]
        return Counter((name, partition) for name, partition in named if name is not None)

    def snapshot(self) -> AbstractContextManager[None]:
        """Do nothing: an instance belongs to one thread, so nothing else changes it."""
        return nullcontext()

    def close(self) -> None:
        """Do nothing."""

    def _held(self, positions: Mapping[int, Position], given: Position) -> Position:
        """Return the position as it is stored, if it is where the caller left it."""
        stored = positions.get(given.partition)
        if stored != given:
            raise FencedError(given.partition)
        return stored

    def _merged(self, rows: Sequence[Row]) -> dict[tuple[str, int], State]:
        """Return the states that rows change, without changing any."""
        columns = state_columns()
        changed: dict[tuple[str, int], State] = {}
        for row in rows:
            new: State = dict(zip((c.name for c in columns), row, strict=True))
            key = (new[current().key.name], new["partition"])
            stored = changed.get(key) or self.tables.states.get(key)
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


def _copy(state: State) -> State:
    """Return a state that is the reader's own, with its lists."""
    return {name: [*value] if type(value) is list else value for name, value in state.items()}


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
