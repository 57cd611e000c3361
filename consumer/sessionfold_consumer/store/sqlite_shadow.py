"""The shadow of a SQLite store: its other generation, in the same file."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ..errors import StoreUnusableError
from . import sql
from .columns import SQLITE, comparison
from .letters import letter_columns
from .messages import switched_message
from .protocol import DeadLetter, Generation, Position, ShadowStatus, other_generation
from .shadow import Pair, Range, next_epoch, pair_of
from .sqlite import SqliteStore, position_of, state_of


class SqliteShadow(SqliteStore):
    """The generation of a file that is not live; see :class:`ShadowStore` for the behaviour."""

    def __init__(self, path: Path) -> None:
        self._live: Generation | None = None
        self._is_holding = False
        super().__init__(path)

    def begin(
        self, origin: str, first_offsets: Mapping[int, int], letters: Iterable[DeadLetter] = ()
    ) -> None:
        """Empty the shadow and start each partition at its first offset."""
        with self._shadow_transaction() as database:
            live = database.execute(self._shadow["read_live_positions"]).fetchall()
            epoch = next_epoch(map(position_of, live), self.positions().values())
            self._empty(database)
            places = [(partition, first, epoch) for partition, first in first_offsets.items()]
            database.executemany(self._shadow["start_position"], places)
            self._keep.execute(letter_columns(letters))
            self._mark("filling", origin)

    def note_origin(self, origin: str) -> None:
        """Say anew what the shadow is filled from."""
        with self._shadow_transaction():
            self._mark("filling", origin)

    def empty(self) -> None:
        """Throw away what the shadow has."""
        with self._shadow_transaction() as database:
            self._empty(database)
            self._mark("empty", None)

    @contextmanager
    def holding(self) -> Iterator[dict[int, Position]]:
        """Keep the live generation as it is within the block; yield its positions."""
        with self._shadow_transaction() as database:
            rows = database.execute(self._shadow["read_live_positions"]).fetchall()
            self._is_holding = True
            try:
                yield {row[0]: position_of(row) for row in rows}
            finally:
                self._is_holding = False

    def switch(self) -> None:
        """Make the shadow the live generation, and the live one the shadow, which is kept."""
        with self._shadow_transaction() as database:
            for statement in ("fence_shadow", "fence_live", "switch"):
                database.execute(self._shadow[statement])

    def pairs(self, ranges: Mapping[int, Range]) -> Iterator[Pair]:
        """Yield the sessions that differ between the generations."""
        given = json.dumps([[partition, each.low, each.high] for partition, each in ranges.items()])
        with self._translated("read"):
            for row in self._database.execute(self._shadow["read_pairs"], (given,)):
                yield pair_of(row, state_of)

    def _turn(self) -> None:
        """Use the tables of the shadow; never those of what has become live since."""
        live = self.info().generation
        if self._live is None:
            self._live, shadow = live, other_generation(live)
            self._use(shadow)
            self._shadow = sql.statements(
                "sqlite_shadow.sql", shadow=shadow, live=live, **comparison(SQLITE)
            )
        elif live != self._live:
            raise StoreUnusableError(switched_message(str(self._path)))

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Begin a transaction; while the live generation is held, there is one already."""
        if self._is_holding:
            yield self._database
            return
        with super()._transaction() as database:
            yield database

    @contextmanager
    def _shadow_transaction(self) -> Iterator[sqlite3.Connection]:
        """Begin one in which the shadow stays the shadow."""
        with self._transaction() as database:
            self._turn()
            yield database

    def _empty(self, database: sqlite3.Connection) -> None:
        for name in ("states", "positions", "dead_letters", "gaps"):
            database.execute(self._shadow[f"empty_{name}"])

    def _mark(self, status: ShadowStatus, origin: str | None) -> None:
        self._database.execute(self._shadow["mark_shadow"], (status, origin))
