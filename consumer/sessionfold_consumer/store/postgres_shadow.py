"""The shadow of a PostgreSQL store: its other generation, in the same schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.sql import SQL

from ..errors import StoreUnusableError
from . import sql
from .columns import POSTGRES, comparison
from .letters import letter_rows
from .messages import switched_message
from .postgres import PostgresStore, position_of, state_of
from .protocol import DeadLetter, Generation, Position, ShadowStatus, other_generation
from .shadow import Pair, Range, next_epoch, pair_of


class PostgresShadow(PostgresStore):
    """The generation of a schema that is not live; see :class:`ShadowStore` for the behaviour."""

    def __init__(self, url: str) -> None:
        self._live: Generation | None = None
        self._held: psycopg.Connection[tuple[Any, ...]] | None = None
        super().__init__(url)

    def begin(
        self, origin: str, first_offsets: Mapping[int, int], letters: Iterable[DeadLetter] = ()
    ) -> None:
        """Empty the shadow and start each partition at its first offset."""
        with self._shadow_transaction() as connection:
            live = connection.execute(SQL(self._shadow["read_live_positions"])).fetchall()
            epoch = next_epoch(map(position_of, live), self.positions().values())
            self._empty(connection)
            places = [
                {"partition": partition, "offset": first, "epoch": epoch}
                for partition, first in first_offsets.items()
            ]
            with connection.cursor() as cursor:
                cursor.executemany(SQL(self._shadow["start_position"]), places)
            self._run_many(connection, "keep_dead_letter", letter_rows(letters))
            self._mark(connection, "filling", origin)

    def note_origin(self, origin: str) -> None:
        """Say anew what the shadow is filled from."""
        with self._shadow_transaction() as connection:
            self._mark(connection, "filling", origin)

    def empty(self) -> None:
        """Throw away what the shadow has."""
        with self._shadow_transaction() as connection:
            self._empty(connection)
            self._mark(connection, "empty", None)

    @contextmanager
    def holding(self) -> Iterator[dict[int, Position]]:
        """Keep the live generation as it is within the block; yield its positions."""
        with self._shadow_transaction() as connection:
            rows = connection.execute(SQL(self._shadow["hold_live_positions"])).fetchall()
            self._held = connection
            try:
                yield {row[0]: position_of(row) for row in rows}
            finally:
                self._held = None
                # Made within the block, it goes with the block's transaction when that fails.
                self._staged_on = None

    def switch(self) -> None:
        """Make the shadow the live generation, and the live one the shadow, which is kept."""
        with self._shadow_transaction() as connection:
            for statement in ("fence_shadow", "fence_live", "switch"):
                connection.execute(SQL(self._shadow[statement]))

    def pairs(self, ranges: Mapping[int, Range]) -> Iterator[Pair]:
        """Yield the sessions that differ between the generations."""
        values = {
            "partitions": [*ranges],
            "lows": [each.low for each in ranges.values()],
            "highs": [each.high for each in ranges.values()],
        }
        with self._database.translated("read"):
            for row in self._database.stream(self._shadow["read_pairs"], values):
                yield pair_of(row, state_of)

    def _turn(self) -> None:
        """Use the tables of the shadow; never those of what has become live since."""
        live = self.info().generation
        if self._live is None:
            self._live, shadow = live, other_generation(live)
            self._use(shadow)
            self._shadow = sql.statements(
                "postgres_shadow.sql", shadow=shadow, live=live, **comparison(POSTGRES)
            )
        elif live != self._live:
            raise StoreUnusableError(switched_message(self._database.name))

    @contextmanager
    def _transaction(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Begin a transaction; while the live generation is held, there is one already."""
        if self._held is not None:
            yield self._held
            return
        with super()._transaction() as connection:
            yield connection

    @contextmanager
    def _staged_transaction(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Begin one with an empty stage, which only the end of a transaction empties by itself."""
        with super()._staged_transaction() as connection:
            if self._held is not None:
                connection.execute(self._statement("empty_stage"))
            yield connection

    @contextmanager
    def _shadow_transaction(self) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
        """Begin one in which the shadow stays the shadow."""
        with self._transaction() as connection:
            connection.execute(SQL(self._shadow["hold_generation"]))
            self._turn()
            yield connection

    def _empty(self, connection: psycopg.Connection[tuple[Any, ...]]) -> None:
        for name in ("states", "positions", "dead_letters", "gaps"):
            connection.execute(SQL(self._shadow[f"empty_{name}"]))

    def _mark(
        self,
        connection: psycopg.Connection[tuple[Any, ...]],
        status: ShadowStatus,
        origin: str | None,
    ) -> None:
        connection.execute(SQL(self._shadow["mark_shadow"]), (status, origin))
