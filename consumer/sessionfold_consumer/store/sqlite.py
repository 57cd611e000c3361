"""The embedded store: one SQLite file in WAL mode.

``synchronous=NORMAL`` is enough: a power failure may take back the last transactions, states and
positions together, and the log refills them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from sessionfold_schemas import session_id_problem

from ..errors import (
    FencedError,
    NotFoundError,
    PositionMissingError,
    TopicChangedError,
)
from ..state import Row, Rows, State, state_columns
from . import sql
from .columns import SQLITE, merging
from .letters import letter_columns, letter_of
from .messages import changed_message
from .migrations import GENERATIONS
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
from .sqlite_errors import translated
from .sqlite_file import connect, transaction
from .sqlite_rows import MOST_ROWS, RowsStatement, readers

_OTHERS = ("generation", "stopped", "shadow", "shadow_origin")
_POSITION = ("partition", "next_offset", "owner_epoch", "first_offset", "attempts")


class SqliteStore:
    """A store in one file; see :class:`SessionStore` for the behaviour.

    Args:
        path: the file; it is created when it does not exist, unless ``read_only``.
        read_only: for commands that only answer; nothing is created or migrated.

    Raises:
        StoreUnusableError: when the file cannot be opened or created, is no store of this program,
            or was written by a newer release.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        with self._translated("open"):
            self._database = connect(path, read_only=read_only)
        self._by_generation = {
            generation: sql.statements(
                "sqlite.sql", generation=generation, columns=", ".join(_names())
            )
            for generation in GENERATIONS
        }
        self._sql = self._by_generation[GENERATIONS[0]]
        self._turn()

    def info(self) -> StoreInfo:
        """Return what this store is the fold of."""
        with self._translated("read"):
            row = self._database.execute(self._sql["read_info"]).fetchone()
        store_id, version, digest, topic, topic_id, count, *others = row
        identity = None
        if topic is not None:
            identity = TopicIdentity(topic=topic, topic_id=topic_id, partition_count=count)
        return StoreInfo(
            store_id=store_id,
            contract_version=version,
            contract_digest=digest,
            identity=identity,
            **dict(zip(_OTHERS, others, strict=True)),
        )

    def bind(self, identity: TopicIdentity, first_offsets: Mapping[int, int]) -> None:
        """Tie a new store to its topic."""
        values = (identity.topic, identity.topic_id, identity.partition_count)
        with self._transaction() as database:
            if database.execute(self._sql["bind_topic"], values).rowcount:
                places = sorted(first_offsets.items())
                rows = [(each, *values[:2], offset) for each, offset in places]
                database.executemany(self._sql["create_position"], rows)
        bound = self.info().identity
        if bound is not None and bound != identity:
            raise TopicChangedError(changed_message(bound, identity))

    def positions(self) -> dict[int, Position]:
        """Return the position of every partition."""
        with self._translated("read"):
            rows = self._database.execute(self._sql["read_positions"]).fetchall()
        return {row[0]: position_of(row) for row in rows}

    def claim(self, partitions: Sequence[int], owner: str) -> dict[int, Position]:
        """Take partitions over."""
        with self._transaction() as database:
            self._turn()
            for partition in partitions:
                if not database.execute(self._sql["claim_position"], (owner, partition)).rowcount:
                    raise PositionMissingError(partition)
            # Read before others can claim: an epoch of theirs must not be taken for one's own.
            positions = self.positions()
        return {partition: positions[partition] for partition in partitions}

    def attempt(self, positions: Sequence[Position]) -> None:
        """Count that this process is about to fold from these positions."""
        with self._transaction():
            for position in positions:
                self._compare_and_set("count_attempt", position, position.attempts)

    def spare(self, positions: Sequence[Position]) -> None:
        """Take back what this process counted."""
        places = [(each.partition, each.next_offset) for each in positions]
        with self._transaction() as database:
            database.executemany(self._sql["spare_attempt"], places)

    def commit(
        self, advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
    ) -> None:
        """Merge rows, keep dead letters and advance positions, in one transaction."""
        with self._transaction():
            for advance in advances:
                self._compare_and_set("advance_position", advance.position, advance.next_offset)
            self._merge(rows)
            self._keep.execute(letter_columns(dead_letters))

    def accept_gap(self, position: Position, end: int) -> Position:
        """Move a position over records that the log no longer has."""
        with self._transaction() as database:
            self._compare_and_set("advance_position", position, end)
            gap = (position.partition, position.next_offset, end)
            database.execute(self._sql["keep_gap"], gap)
        return Advance(position=position, next_offset=end).moved()

    def gaps(self) -> list[Gap]:
        """Return the gaps that were accepted, in order."""
        with self._translated("read"):
            rows = self._database.execute(self._sql["read_gaps"]).fetchall()
        return [Gap(partition=partition, first=first, end=end) for partition, first, end in rows]

    def resolve(
        self, letters: Sequence[DeadLetter], status: LetterStatus, rows: Sequence[Row] = ()
    ) -> None:
        """Give open dead letters another status and merge rows, in one transaction."""
        with self._transaction() as database:
            self._turn()
            for letter in letters:
                changed = (status, letter.partition, letter.offset)
                if not database.execute(self._sql["resolve_dead_letter"], changed).rowcount:
                    place = f"{letter.partition}:{letter.offset}"
                    raise NotFoundError("open dead letter", place, "this store")
            self._merge(rows)

    def stop(self, reason: str) -> None:
        """Keep that the service stopped itself, and why."""
        with self._transaction() as database:
            database.execute(self._sql["mark_stopped"], (reason,))

    def resume(self) -> None:
        """Let a service that stopped itself start again."""
        with self._transaction() as database:
            database.execute(self._sql["mark_stopped"], (None,))

    def get(self, session_id: str) -> list[State]:
        """Return the session's states."""
        if session_id_problem(session_id) is not None:
            return []  # also what the database could not even be asked
        return list(self._read("read_session", (session_id,)))

    def select(self, selection: Selection) -> Iterator[State]:
        """Return the states of the selected sessions."""
        finished = None if selection.status == "all" else int(selection.status == "finished")
        limit = -1 if selection.limit is None else selection.limit
        return self._read("select_sessions", (finished, selection.last_occurred_before, limit))

    def states(self) -> Iterator[State]:
        """Return all states in order."""
        return self._read("read_all", ())

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Return all dead letters in order."""
        with self._translated("read"):
            for row in self._database.execute(self._sql["read_dead_letters"]):
                yield letter_of(row)

    def set_aside(self) -> SetAside:
        """Count the open dead letters of each session."""
        with self._translated("read"):
            rows = self._database.execute(self._sql["count_set_aside"]).fetchall()
        return Counter({(name, partition): count for name, partition, count in rows})

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read from one moment within the block."""
        with self._translated("read"), transaction(self._database, "BEGIN"):
            self._turn()
            yield

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def _turn(self) -> None:
        """Use the tables of this object's generation from here on."""
        self._use(self.info().generation)

    def _use(self, generation: Generation) -> None:
        self._sql = self._by_generation[generation]
        self._merging = {_names(): self._merge_of(_names())}
        self._keep = RowsStatement(self._database, self._sql["keep_dead_letter"])

    def _merge(self, rows: Sequence[Row]) -> None:
        """Merge rows; where they are many, a statement for just the columns they have pays."""
        by_columns = Rows.of(rows)
        names = tuple(by_columns.columns) if len(rows) >= MOST_ROWS else _names()
        if names not in self._merging:  # of those, the last one is kept
            self._merging = {_names(): self._merging[_names()], names: self._merge_of(names)}
        self._merging[names].execute(by_columns.values_of(names))

    def _merge_of(self, names: tuple[str, ...]) -> RowsStatement:
        statement = self._sql["merge_state"]
        for name, expansion in merging(SQLITE, names).items():
            statement = statement.replace(f"{{{name}}}", expansion)
        return RowsStatement(self._database, statement)

    def _compare_and_set(self, statement: str, held: Position, *values: int) -> None:
        expected = (*values, held.partition, held.next_offset, held.owner_epoch)
        if not self._database.execute(self._sql[statement], expected).rowcount:
            raise FencedError(held.partition)

    def _read(self, statement: str, values: tuple[Any, ...]) -> Iterator[State]:
        with self._translated("read"):
            yield from map(state_of, self._database.execute(self._sql[statement], values))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._translated("write"), transaction(self._database, "BEGIN IMMEDIATE"):
            yield self._database

    def _translated(self, action: str) -> AbstractContextManager[None]:
        return translated(action, self._path)


def position_of(row: Sequence[Any]) -> Position:
    """Return the position that a row holds."""
    return Position(**dict(zip(_POSITION, row, strict=True)))


def state_of(row: Sequence[Any]) -> State:
    """Return the state that a row holds."""
    state = dict(zip(_names(), row, strict=True))
    for name, reader in _readers().items():
        state[name] = None if state[name] is None else reader(state[name])
    return state


@cache
def _names() -> tuple[str, ...]:
    return tuple(column.name for column in state_columns())


@cache
def _readers() -> dict[str, Callable[[Any], Any]]:
    return readers(state_columns())
