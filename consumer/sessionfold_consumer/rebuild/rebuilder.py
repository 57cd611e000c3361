"""The steps of a rebuild. Each can be interrupted, by kill -9 too, and done again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from contextlib import AbstractContextManager

from sessionfold_schemas import current

from ..commit import LeftOut
from ..errors import (
    DecisionsChangedError,
    FencedError,
    GenerationKeptError,
    NothingKeptError,
    NothingToRebuildError,
    NotSwitchedError,
    PositionMissingError,
    RebuiltDiffersError,
    ShadowGoneError,
    StoreBusyError,
)
from ..service import Service, is_another_live
from ..snapshot import Snapshot
from ..store import (
    DeadLetter,
    Pair,
    Position,
    Range,
    SessionStore,
    ShadowStatus,
    ShadowStore,
)
from .comparison import Comparison
from .decisions import decide_alike, decided, left_out
from .excerpt import refuse_missing
from .loading import load
from .reader import Reader

logger = logging.getLogger("sessionfold_consumer")

_CLOSE_RECORDS = 2_000
"""How near the shadow is to live, at least, when live is held."""
_CLOSE_SECONDS = 1.0
"""How long it may take then to fold the rest, by how long the last part took."""
_HOLD_SECONDS = 4.0
"""The longest time in which the last records are folded while live is held."""
_ATTEMPTS = 5
_NO_END = 2**63 - 1

Ends = Mapping[int, int]


ReaderFactory = Callable[[Ends, LeftOut], AbstractContextManager[Reader]]
"""Opens a reader of all partitions; its service is to fold into the shadow, up to these ends."""


class Rebuilder:
    """Folds a log into the shadow of its store and switches the two.

    The live generation may be written to by services all the while. Belongs to one thread.

    Args:
        live: the store, to read.
        shadow: its other generation.
        open_reader: makes the service that folds.
        stopping: asked between batches; what was folded by then stays, and a later rebuild goes on.
        fold_first: folds into the shadow up to where live is, by other processes, or does nothing.
    """

    def __init__(
        self,
        live: SessionStore,
        shadow: ShadowStore,
        open_reader: ReaderFactory,
        stopping: Callable[[], bool] = lambda: False,
        fold_first: Callable[[], None] = lambda: None,
    ) -> None:
        self._live = live
        self._shadow = shadow
        self._open_reader = open_reader
        self._stopping = stopping
        self._fold_first = fold_first
        self._compared: dict[int, int] = {}
        self._differing: set[int] = set()

    def prepare(self, snapshot: Snapshot | None = None) -> bool:
        """Begin a shadow, or find one that an earlier rebuild has begun; say whether it goes on.

        Args:
            snapshot: begin with this, instead of at the log's start.

        Raises:
            NothingToRebuildError: when no service has ever run on the store.
            GenerationKeptError: when what was live before the last rebuild is still kept.
            SnapshotUnusableError: when the snapshot is damaged, or of another log.
        """
        info = self._live.info()
        positions = self._live.positions()
        if info.identity is None or not positions:
            raise NothingToRebuildError
        if info.shadow == "kept":
            raise GenerationKeptError
        origin = _origin(snapshot)
        if info.shadow == "filling" and info.shadow_origin == origin:
            if not self._knows_less():
                return True
            logger.info("dead letters were retried or dropped meanwhile; the rebuild begins anew")
        if snapshot is None:
            first_offsets = {p: position.first_offset for p, position in positions.items()}
            self._shadow.begin(origin, first_offsets, decided(self._live))
        else:
            load(snapshot, self._live, self._shadow, origin)
        return False

    def fill(self) -> bool:
        """Fold up to where live is; say whether that was reached, or ``stopping`` said to stop.

        Raises:
            LogStartGoneError: when the log no longer has all that live was folded from.
        """
        with self._reader() as reader:
            begins = _ends(self._reached())
            refuse_missing(reader.source, begins, self._live.gaps())
            self._fold_first()
            self._fold(reader.service, self._stopping)
            return self._catch_up(reader.service)

    def compare(self, limit: int) -> Comparison:
        """Compare what was folded with live, as far as live has not gone on.

        A session that live has gone on with since is compared by ``switch``.

        Args:
            limit: how many sessions that differ to keep.
        """
        comparison = Comparison(limit=limit)
        self._differing.clear()
        with self._shadow.snapshot():
            reached = self._reached()
            ranges = {p: Range(low=0, high=each.next_offset) for p, each in reached.items()}
            comparison.take(self._not_seen(self._shadow.pairs(ranges)))
            rebuilt = [*self._shadow.dead_letters()]
        live = [each for each in self._live.dead_letters() if _is_before(each, reached)]
        comparison.take_letters(live, rebuilt)
        self._compared = _ends(reached)
        return comparison

    def switch(self, comparison: Comparison, *, accept: bool) -> None:
        """Fold what is left, compare what live has gone on with, and switch, all at one moment.

        Args:
            comparison: what ``compare`` found; what is found now is added.
            accept: switch although something differs.

        Raises:
            DecisionsChangedError: when dead letters were retried or dropped meanwhile.
            RebuiltDiffersError: when something differs and is not accepted.
            NotSwitchedError: when live moves faster than it is followed.
        """
        self._switched("filling", lambda: self._compare_rest(comparison, accept=accept))

    def undo(self) -> None:
        """Fold what is left into the generation that was live before, and switch back to it.

        What was decided about dead letters since then is decided alike in it.

        Raises:
            NothingKeptError: when there is none.
            DecisionsChangedError: when dead letters were retried or dropped meanwhile.
            NotSwitchedError: when live moves faster than it is followed.
        """
        if self._live.info().shadow != "kept":
            raise NothingKeptError("go back to")
        known = {*decided(self._live)}
        decide_alike(self._live, self._shadow)
        self._switched("kept", lambda: self._refuse_other_decisions(known))

    def drop(self) -> None:
        """Throw away the generation that is not live, kept or unfinished.

        Raises:
            NothingKeptError: when there is none.
        """
        if self._live.info().shadow == "empty":
            raise NothingKeptError("throw away")
        self._shadow.empty()

    def _reader(self) -> AbstractContextManager[Reader]:
        passed = left_out(decided(self._shadow))
        return self._open_reader(_ends(self._live.positions()), passed)

    def _knows_less(self) -> bool:
        """Say whether somebody has decided about a dead letter since the shadow was begun."""
        return bool({*decided(self._live)} - {*self._shadow.dead_letters()})

    def _refuse_other_decisions(self, known: Set[DeadLetter]) -> None:
        if {*decided(self._live)} - known:
            raise DecisionsChangedError

    def _reached(self) -> dict[int, Position]:
        """Return the shadow's positions, which another process may have thrown away."""
        reached = self._shadow.positions()
        if not reached:
            raise ShadowGoneError
        return reached

    def _fold(self, service: Service, stopping: Callable[[], bool]) -> None:
        try:
            service.run(stopping)
        except PositionMissingError:
            raise ShadowGoneError from None

    def _catch_up(self, service: Service) -> bool:
        """Follow live until it is near: what is near, the part that was folded last says."""
        near = _CLOSE_RECORDS
        while not self._stopping():
            ends = _ends(self._live.positions())
            distance = _distance(self._reached(), ends)
            if distance <= near:
                return True
            began = time.monotonic()
            service.extend(ends)
            self._fold(service, self._stopping)
            rate = distance / max(time.monotonic() - began, 0.001)
            near = max(_CLOSE_RECORDS, int(rate * _CLOSE_SECONDS))
        return False

    def _switched(self, expected: ShadowStatus, last: Callable[[], None]) -> None:
        def compare_and_switch() -> None:
            # Others may have switched there and back since, and have thrown away what was folded.
            if self._shadow.info().shadow != expected:
                raise ShadowGoneError
            last()
            self._shadow.switch()

        before = self._live.info().generation
        for attempt in range(1, _ATTEMPTS + 1):
            # The answer may have been lost, and not the switch.
            if is_another_live(self._live, before) or self._try_to_switch(
                attempt, compare_and_switch
            ):
                return
            if self._stopping():
                break
        if not is_another_live(self._live, before):
            raise NotSwitchedError(attempt)

    def _try_to_switch(self, attempt: int, last: Callable[[], None]) -> bool:
        try:
            with self._reader() as reader:
                self._fold(reader.service, self._stopping)
                return self._catch_up(reader.service) and self._switch_now(reader.service, last)
        # What was folded in vain is taken back, and the service does not know that.
        except (FencedError, StoreBusyError) as error:
            logger.warning("not sure to be switched (%d of %d): %s", attempt, _ATTEMPTS, error)
            return False

    def _switch_now(self, service: Service, last: Callable[[], None]) -> bool:
        """Hold live, fold what is left, and do the last step; False when that took too long."""
        deadline = time.monotonic() + _HOLD_SECONDS
        try:
            with self._shadow.holding() as positions:
                ends = _ends(positions)
                service.extend(ends)
                self._fold(service, lambda: time.monotonic() > deadline)
                if _distance(self._reached(), ends):
                    raise _TooSlowError
                last()
        except _TooSlowError:
            return False
        return True

    def _compare_rest(self, comparison: Comparison, *, accept: bool) -> None:
        """Compare what was not compared before; live is held."""
        if self._knows_less():
            raise DecisionsChangedError
        lows = {p: self._compared.get(p, 0) for p in self._reached()}
        ranges = {p: Range(low=low, high=_NO_END) for p, low in lows.items()}
        comparison.take(self._not_seen(self._shadow.pairs(ranges)))
        comparison.take_letters(self._live.dead_letters(), self._shadow.dead_letters())
        if not (comparison.is_same or accept):
            raise RebuiltDiffersError(str(comparison))

    def _not_seen(self, pairs: Iterable[Pair]) -> Iterator[Pair]:
        """Leave out sessions that were found to differ before: each is counted once."""
        for live, rebuilt in pairs:
            there = live or rebuilt or {}
            key = hash((there["session_id"], there["partition"]))  # smaller than the two
            if key not in self._differing:
                self._differing.add(key)
                yield live, rebuilt


class _TooSlowError(Exception):
    """Raised to take back what was folded while live was held."""


def _origin(snapshot: Snapshot | None) -> str:
    begun = "log" if snapshot is None else f"snapshot {snapshot.check().sha256}"
    return f"{begun}, contract {current().digest}"


def _ends(positions: Mapping[int, Position]) -> dict[int, int]:
    return {partition: position.next_offset for partition, position in positions.items()}


def _distance(positions: Mapping[int, Position], ends: Ends) -> int:
    return sum(max(0, end - positions[p].next_offset) for p, end in ends.items())


def _is_before(letter: DeadLetter, positions: Mapping[int, Position]) -> bool:
    position = positions.get(letter.partition)
    return position is not None and letter.offset < position.next_offset
