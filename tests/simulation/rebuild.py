"""One simulated run of ``sessionfold rebuild``: the real steps, over a shadow that misbehaves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Literal

from sessionfold_consumer.breaker import Limits
from sessionfold_consumer.commit import LeftOut
from sessionfold_consumer.errors import (
    ConsumerError,
    FencedError,
    RebuildError,
    RebuiltDiffersError,
    StoreBusyError,
    StoreUnusableError,
)
from sessionfold_consumer.rebuild import Reader, Rebuilder
from sessionfold_consumer.rebuild.rebuilder import Ends
from sessionfold_consumer.service import Checks, Service
from sessionfold_consumer.source import Fetched, MemorySource

from .shadow import SimulatedShadow
from .store import Database, SimulatedStore
from .world import World, WrongError

Action = Literal["rebuild", "undo", "drop"]

_STOPPED = 0.03
_PAUSES = 0.5


class Rebuild:
    """A process from its start to its end, which comes within :meth:`run`.

    Between its batches, and wherever it is frozen, others go on.
    """

    def __init__(self, world: World, database: Database, name: str) -> None:
        self._world, self._database, self.name = world, database, name
        self._is_stopped = False
        self._generation = database.shelf.info.generation
        self._live = SimulatedStore(world, database)
        self._shadow = SimulatedShadow(world, database)
        self._rebuilder = Rebuilder(self._live, self._shadow, self._reader, self._is_stopping)

    def run(self, action: Action) -> None:
        """Do what it is for, or a part of that.

        Raises:
            Crash: when it is ended.
            WrongError: when what it has folded is not what is live, or it ends as it must not.
        """
        steps: dict[Action, Callable[[], None]] = {
            "rebuild": self._rebuild,
            "undo": self._rebuilder.undo,
            "drop": self._rebuilder.drop,
        }
        try:
            steps[action]()
        except RebuiltDiffersError as error:
            raise WrongError("comparison", str(error)) from error
        except (FencedError, RebuildError, StoreBusyError) as error:
            self._world.note(f"{action} ended by {type(error).__name__}")
        except StoreUnusableError as error:
            if self._database.shelf.info.generation == self._generation:
                raise WrongError("unexpected", f"{self.name} ended: {error!r}") from error
            self._world.note(f"{action} overtaken by another")
        except ConsumerError as error:
            raise WrongError("unexpected", f"{self.name} ended: {error!r}") from error

    def _rebuild(self) -> None:
        if self._rebuilder.prepare():
            self._world.note("rebuild goes on")
        if not self._rebuilder.fill():
            self._world.note("rebuild stopped")
            return
        found = self._rebuilder.compare(10)
        self._world.at("shadow compared")
        self._rebuilder.switch(found, accept=False)

    def _is_stopping(self) -> bool:
        random = self._world.random
        if random.random() < _PAUSES:
            self._world.freeze("a rebuild's batch")
        self._is_stopped |= random.random() < _STOPPED
        return self._is_stopped

    @contextmanager
    def _reader(self, ends: Ends, left_out: LeftOut) -> Iterator[Reader]:
        source = _Source(self._world)
        service = Service(
            source=source,
            store=self._shadow,
            topic="t",
            owner=self.name,
            batch_records=self._world.profile.batch_records,
            until=ends,
            checks=Checks(confirm=lambda: self._world.ask_broker("confirm")),
            limits=Limits(ratio=1, run=0),
            left_out=left_out,
            sets_aside_fatal=False,
            clock=self._world.clock,
        )
        service._patience._random = Random(self._world.random.random())
        yield Reader(service=service, source=source)


class _Source(MemorySource):
    """Reads a world's log without a group."""

    def __init__(self, world: World) -> None:
        super().__init__(world.log)
        self._world = world

    def fetch(
        self,
        max_records: int,
        timeout_seconds: float = 0,
        is_wanted: Callable[[], bool] = lambda: False,
    ) -> Fetched:
        """Read the next records."""
        self._world.now += timeout_seconds
        return super().fetch(max_records, timeout_seconds, is_wanted)

    def idle(self, timeout_seconds: float) -> None:
        """Let time pass."""
        self._world.now += timeout_seconds
