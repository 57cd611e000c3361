"""The store of a fleet: PostgreSQL, written to by several services at a time.

A commit is one transaction. First its rows are copied into a stage of the connection's own, while
nothing is locked that others want; then the positions are compared and set, in the order of their
partitions; whoever was fenced stops here. Then the stage is merged, in the order of its keys. Since
a session's row belongs to a partition, two services never change the same one, and no order of
theirs can make them wait for each other in a circle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.sql import SQL

from sessionfold_schemas import session_id_problem

from ..errors import (
    FencedError,
    NotFoundError,
    PositionMissingError,
    StoreBusyError,
    TopicChangedError,
)
from ..state import Row, State, state_columns
from . import sql
from .columns import POSTGRES, merging
from .letters import letter_of, letter_rows
from .messages import changed_message
from .migrations import GENERATIONS
from .postgres_database import Database
from .postgres_migrations import check
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

_OTHERS = ("generation", "stopped", "shadow", "shadow_origin")
_POSITION = ("partition", "next_offset", "owner_epoch", "first_offset", "attempts")
_SNAPSHOT = "ISOLATION LEVEL REPEATABLE READ READ ONLY"


class PostgresStore:
    """A store in the schema ``sessionfold`` of a database; see :class:`SessionStore`.

    Args:
        url: ``postgresql://user@host:port/database``. What it leaves out libpq takes from its own
            variables (PGHOST, PGPASSWORD ...) and password file.
        read_only: for commands that only answer.

    Raises:
        ConfigurationError: when the URL is none of PostgreSQL.
        StoreUnusableError: when the server cannot be reached, or has no store that this program
            can work with. ``sessionfold store migrate`` makes one.
    """

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self._database = Database(url, read_only=read_only)
        names = [column.name for column in state_columns()]
        self._by_generation = {
            generation: sql.statements(
                "postgres.sql",
                generation=generation,
                columns=", ".join(names),
                **merging(POSTGRES, names),
            )
            for generation in GENERATIONS
        }
        self._sql = self._by_generation[GENERATIONS[0]]
        self._is_in_doubt = False
        self._staged_on: psycopg.Connection[tuple[Any, ...]] | None = None
        try:
            with self._database.translated("open"):
                check(self._database)
                self._turn()
        except BaseException:
            self._database.close()
            raise

    def info(self) -> StoreInfo:
        """Return what this store is the fold of."""
        (row,) = self._rows("read_info")
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
        with self._transaction() as connection:
            if connection.execute(self._statement("bind_topic"), values).rowcount:
                places = sorted(first_offsets.items())
                rows = [(each, *values[:2], offset, offset) for each, offset in places]
                self._run_many(connection, "create_position", rows)
        bound = self.info().identity
        if bound is not None and bound != identity:
            raise TopicChangedError(changed_message(bound, identity))

    def positions(self) -> dict[int, Position]:
        """Return the position of every partition, after what this process last wrote."""
        rows = self._rows("read_settled_positions" if self._is_in_doubt else "read_positions")
        self._is_in_doubt = False
        return {row[0]: position_of(row) for row in rows}

    def claim(self, partitions: Sequence[int], owner: str) -> dict[int, Position]:
        """Take partitions over."""
        claimed = {}
        with self._transaction() as connection:
            connection.execute(self._statement("keep_generation"))
            self._turn()
            # In the order that every process keeps; the caller's order is that of the answer.
            for partition in sorted(partitions):
                values = (owner, partition)
                row = connection.execute(self._statement("claim_position"), values).fetchone()
                if row is None:
                    raise PositionMissingError(partition)
                claimed[partition] = position_of(row)
        return {partition: claimed[partition] for partition in partitions}

    def attempt(self, positions: Sequence[Position]) -> None:
        """Count that this process is about to fold from these positions."""
        with self._transaction() as connection:
            for position in sorted(positions, key=lambda each: each.partition):
                self._compare_and_set(connection, "count_attempt", position, position.attempts)

    def spare(self, positions: Sequence[Position]) -> None:
        """Take back what this process counted."""
        places = sorted((each.partition, each.next_offset) for each in positions)
        with self._transaction() as connection:
            self._run_many(connection, "spare_attempt", places)

    def commit(
        self, advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
    ) -> None:
        """Merge rows, keep dead letters and advance positions, in one transaction."""
        first, *others = _rounds(rows)
        with self._staged_transaction() as connection:
            self._copy(connection, first)
            for advance in sorted(advances, key=lambda each: each.position.partition):
                self._compare_and_set(
                    connection, "advance_position", advance.position, advance.next_offset
                )
            self._merge(connection, others)
            self._run_many(connection, "keep_dead_letter", letter_rows(dead_letters))

    def accept_gap(self, position: Position, end: int) -> Position:
        """Move a position over records that the log no longer has."""
        with self._transaction() as connection:
            self._compare_and_set(connection, "advance_position", position, end)
            gap = (position.partition, position.next_offset, end)
            connection.execute(self._statement("keep_gap"), gap)
        return Advance(position=position, next_offset=end).moved()

    def gaps(self) -> list[Gap]:
        """Return the gaps that were accepted, in order."""
        rows = self._rows("read_gaps")
        return [Gap(partition=partition, first=first, end=end) for partition, first, end in rows]

    def resolve(
        self, letters: Sequence[DeadLetter], status: LetterStatus, rows: Sequence[Row] = ()
    ) -> None:
        """Give open dead letters another status and merge rows, in one transaction."""
        first, *others = _rounds(rows)
        with self._staged_transaction() as connection:
            connection.execute(self._statement("keep_generation"))
            self._turn()
            self._copy(connection, first)
            for letter in sorted(letters, key=lambda each: (each.partition, each.offset)):
                changed = (status, letter.partition, letter.offset)
                statement = self._statement("resolve_dead_letter")
                if not connection.execute(statement, changed).rowcount:
                    place = f"{letter.partition}:{letter.offset}"
                    raise NotFoundError("open dead letter", place, "this store")
            self._merge(connection, others)

    def stop(self, reason: str) -> None:
        """Keep that the service stopped itself, and why."""
        with self._transaction() as connection:
            connection.execute(self._statement("mark_stopped"), (reason,))

    def resume(self) -> None:
        """Let a service that stopped itself start again."""
        with self._transaction() as connection:
            connection.execute(self._statement("mark_stopped"), (None,))

    def get(self, session_id: str) -> list[State]:
        """Return the session's states."""
        if session_id_problem(session_id) is not None:
            return []  # also what the database could not even be asked
        return [state_of(row) for row in self._rows("read_session", (session_id,))]

    def select(self, selection: Selection) -> Iterator[State]:
        """Return the states of the selected sessions."""
        values = {
            "finished": None if selection.status == "all" else selection.status == "finished",
            "before": selection.last_occurred_before,
            "limit": selection.limit,
        }
        return self._states("select_sessions", values)

    def states(self) -> Iterator[State]:
        """Return all states in order."""
        return self._states("read_all", {})

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Return all dead letters in order."""
        with self._database.translated("read"):
            yield from map(letter_of, self._database.stream(self._sql["read_dead_letters"]))

    def set_aside(self) -> SetAside:
        """Count the open dead letters of each session."""
        rows = self._rows("count_set_aside")
        return Counter({(name, partition): count for name, partition, count in rows})

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read from one moment within the block."""
        with self._database.translated("read"), self._database.transaction(_SNAPSHOT):
            self._turn()
            yield

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def _turn(self) -> None:
        """Use the tables of this object's generation from here on."""
        self._use(self.info().generation)

    def _use(self, generation: Generation) -> None:
        self._sql = self._by_generation[generation]

    def _statement(self, name: str) -> SQL:
        return SQL(self._sql[name])

    def _rows(self, name: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with self._database.translated("read"):
            return self._database.execute(self._sql[name], values).fetchall()

    def _states(self, name: str, values: Mapping[str, Any]) -> Iterator[State]:
        with self._database.translated("read"):
            yield from map(state_of, self._database.stream(self._sql[name], values))

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        try:
            with self._database.translated("write"), self._database.writing() as connection:
                yield connection
        except StoreBusyError:
            # Its COMMIT may be on its way, and be done after other connections have read.
            self._is_in_doubt = True
            raise

    @contextmanager
    def _staged_transaction(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        with self._transaction() as connection:
            if connection is not self._staged_on:
                connection.execute(self._statement("make_stage"))
            yield connection
        self._staged_on = connection

    def _compare_and_set(
        self,
        connection: psycopg.Connection[tuple[Any, ...]],
        statement: str,
        held: Position,
        *values: int,
    ) -> None:
        expected = (*values, held.partition, held.next_offset, held.owner_epoch)
        if not connection.execute(self._statement(statement), expected).rowcount:
            raise FencedError(held.partition)

    def _copy(self, connection: psycopg.Connection[tuple[Any, ...]], rows: Sequence[Row]) -> None:
        if not rows:
            return
        with connection.cursor().copy(self._statement("copy_rows")) as copy:
            copy.set_types(
                [POSTGRES.types[each.type].split(" COLLATE")[0] for each in state_columns()]
            )
            for row in rows:
                copy.write_row(row)

    def _merge(
        self, connection: psycopg.Connection[tuple[Any, ...]], others: Sequence[Sequence[Row]]
    ) -> None:
        """Merge what is staged, then each further round of rows."""
        connection.execute(self._statement("merge_stage"))
        for rows in others:
            connection.execute(self._statement("empty_stage"))
            self._copy(connection, rows)
            connection.execute(self._statement("merge_stage"))

    def _run_many(
        self,
        connection: psycopg.Connection[tuple[Any, ...]],
        name: str,
        rows: Iterable[tuple[Any, ...]],
    ) -> None:
        with connection.cursor() as cursor:
            cursor.executemany(self._statement(name), rows)


def _rounds(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows in rounds of which none has a key twice: an upsert takes each but once."""
    rounds: list[list[Row]] = [[]]
    seen: Counter[tuple[Any, Any]] = Counter()
    for row in rows:
        key = row[0], row[1]
        if seen[key] == len(rounds):
            rounds.append([])
        rounds[seen[key]].append(row)
        seen[key] += 1
    return rounds


def position_of(row: Sequence[Any]) -> Position:
    """Return the position that a row holds."""
    return Position(**dict(zip(_POSITION, row, strict=True)))


def state_of(row: Sequence[Any]) -> State:
    """Return the state that a row holds."""
    return {column.name: value for column, value in zip(state_columns(), row, strict=True)}
