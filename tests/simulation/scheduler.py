"""The scheduler: one thread that lets processes go on in turns, and the world go wrong.

A process that is frozen is one whose step waits, deeper in the stack, until the turns of others are
over: with all that it holds, and before it hears what happened meanwhile.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from sessionfold_consumer import commit as service_commit
from sessionfold_consumer.decode import Events
from sessionfold_consumer.errors import BreakerOpenError, FencedError
from sessionfold_consumer.records import RecordBatch
from sessionfold_consumer.store import ShadowStatus

from .check import Oracle
from .membership import Group, Member
from .process import Process
from .rebuild import Action, Rebuild
from .records import POISON
from .store import LiveStore, new_database
from .world import Crash, World, WrongError

TURNS = 60
HEALING_TURNS = 600
_DEEPEST = 2
_CHECKED_WHOLLY = 16


class Simulation:
    """The run of one seed. ``world`` has what happened in it."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self._database = new_database(self.world)
        self._store = LiveStore(self._database)
        self._oracle = Oracle(self.world, self._store, self._database)
        profile = self.world.profile
        self._groups = [Group(profile.partitions, self.world.random) for _ in range(profile.groups)]
        self._processes: list[Process] = []
        self._orphans: list[Process] = []
        self._names = count(1)
        self._breaker_run = profile.breaker_run
        self._depth = 0
        self.world.freeze = self._freeze
        self._events: dict[str, Callable[[], None]] = {
            "append": lambda: self.world.append(self.world.random.randint(1, 6)),
            "rebalance": self._rebalance,
            "expel": self._expel,
            "kill": self._kill,
            "stop": self._stop,
            "start": self._start,
            "rebuild": self._rebuild,
            "store_away": self._store_away,
            "broker_away": self._broker_away,
        }
        self._kinds, self._weights = zip(*profile.events.items(), strict=True)

    def run(self) -> None:
        """Run the seed from its start to its healing.

        Raises:
            WrongError: when the store is, or stays, wrong.
        """
        with _prepared(self.world):
            self.world.append(self.world.random.randint(1, 10))
            for _ in range(TURNS):
                self._turn()
            self._heal()
        if self.world.seed % _CHECKED_WHOLLY == 0:
            self._oracle.check_all()

    def _turn(self) -> None:
        """Let the world or one of the processes that are not frozen go on."""
        random = self.world.random
        self.world.now += 0.01
        if self._orphans and random.random() < 0.3:
            self._orphans.pop().background.reach_the_store()
        running = self._running()
        if len(running) < self.world.profile.processes and random.random() < 0.3:
            self._start()
        elif not running or random.random() < self.world.profile.event:
            self._events[random.choices(self._kinds, self._weights)[0]]()
        else:
            self._step(random.choice(running))

    def _step(self, process: Process) -> None:
        outer, self.world.current = self.world.current, process.name
        try:
            process.service.step()
        except Crash:
            self._orphan(process)
        except (FencedError, BreakerOpenError) as error:
            self._end(process, error)
        except WrongError:
            raise
        except Exception as error:
            raise WrongError("unexpected", f"{process.name} ended: {error!r}") from error
        finally:
            process.is_zombie = False
            self.world.current = outer
        self._oracle.check()
        self._oracle.check_acknowledged(process.source.acknowledged)

    def _end(self, process: Process, error: Exception) -> None:
        """End a process that gave up for a reason that the service has."""
        self.world.note(f"ended by {type(error).__name__}")
        process.is_alive = False
        process.source.close()
        if isinstance(error, BreakerOpenError):
            if self._store.info().stopped is None:
                raise WrongError("unexpected", "the breaker opened and the store does not say so")
            self._store.resume()
            self._breaker_run = 0

    def _freeze(self, point: str) -> None:
        """Let others go on in the middle of a process's step; mostly it loses what it has."""
        if self._depth == _DEEPEST:
            return
        random, outer = self.world.random, self.world.current
        frozen = [each for each in self._processes if each.name == outer]  # none for a rebuild
        self._depth += 1
        self.world.now += random.choice((0.0, 1.0, 60.0))
        for process in frozen:
            process.is_frozen, process.is_zombie = True, True
            if random.random() < 0.7 and process.source.member in process.group.members:
                process.group.expel(process.source.member)
                self.world.note("expelled while frozen")
        for _ in range(random.randint(1, 8)):
            self._turn()
        self._depth -= 1
        for process in frozen:
            process.is_frozen = False
        self.world.current = outer
        self.world.say(f"goes on at {point}")

    def _heal(self) -> None:
        """Let everything work again, and expect that all is folded soon."""
        world = self.world
        world.current = ""
        world.note("heals")
        world.is_calm = True
        world.store_away_until = world.broker_away_until = 0.0
        world.append(world.profile.records)
        for turn in range(HEALING_TURNS):
            self._tidy()
            self._step(self._processes[turn % len(self._processes)])
            if self._is_folded():
                return
        raise WrongError("liveness", f"{self._offsets()} of {world.ends()} after healing")

    def _tidy(self) -> None:
        """Remove what ended, and all but the first group; see that somebody runs."""
        for process in self._processes:
            if not process.is_alive or process.group is not self._groups[0]:
                process.source.close()
                process.is_alive = False
        self._processes = [each for each in self._processes if each.is_alive]
        if not self._processes:
            self._start()

    def _is_folded(self) -> bool:
        return self._offsets() == self.world.ends()

    def _offsets(self) -> dict[int, int]:
        return {p: each.next_offset for p, each in self._store.tables.positions.items()}

    def _running(self) -> list[Process]:
        return [each for each in self._processes if each.is_alive and not each.is_frozen]

    def _start(self) -> None:
        """Start a process; often it is the one that ended, and its group knows at once."""
        random = self.world.random
        if random.random() < 0.7:
            self._forget_ended()
        name = f"p{next(self._names)}"
        group = self._groups[0] if self.world.is_calm else random.choice(self._groups)
        self.world.say("starts", name)
        process = Process(self.world, self._database, group, name, self._breaker_run)
        self._processes.append(process)

    def _rebuild(self) -> None:
        """Run a rebuild; others go on in the middle of it."""
        rebuild = Rebuild(self.world, self._database, f"r{next(self._names)}")
        action = self._next_action()
        outer, self.world.current = self.world.current, rebuild.name
        self.world.say(f"starts to {action}")
        try:
            rebuild.run(action)
        except Crash:
            pass
        finally:
            self.world.current = outer
        self._oracle.check()

    def _next_action(self) -> Action:
        """Choose what a person would do next, mostly."""
        actions: dict[ShadowStatus, tuple[Action, ...]] = {
            "empty": ("rebuild",),
            "filling": ("rebuild",) * 6 + ("drop",),
            "kept": ("undo", "undo", "drop", "drop", "rebuild"),
        }
        return self.world.random.choice(actions[self._store.info().shadow])

    def _forget_ended(self) -> None:
        for process in self._processes:
            if not process.is_alive:
                process.source.close()

    def _rebalance(self) -> None:
        self.world.note("rebalance")
        self.world.random.choice(self._groups).rebalance()

    def _expel(self) -> None:
        group = self.world.random.choice(self._groups)
        if group.members:
            member: Member = self.world.random.choice(group.members)
            group.expel(member)
            self.world.note("expelled")
            self.world.say("is expelled", member.name)

    def _kill(self) -> None:
        if running := self._running():
            process = self.world.random.choice(running)
            self._orphan(process)
            self.world.note("crash between steps")
            self.world.say("is killed", process.name)

    def _orphan(self, process: Process) -> None:
        """End a process at once; a commit that is on its way may reach the store, now or later."""
        process.is_alive = False
        if self.world.random.random() < 0.5:
            self._orphans.append(process)

    def _stop(self) -> None:
        if running := self._running():
            process = self.world.random.choice(running)
            process.is_alive = False
            process.source.close()
            self.world.note("stopped")
            self.world.say("leaves", process.name)

    def _store_away(self) -> None:
        self.world.store_away_until = self.world.now + self.world.random.choice((0.5, 3.0, 20.0))
        self.world.note("store away")

    def _broker_away(self) -> None:
        self.world.broker_away_until = self.world.now + self.world.random.choice((0.5, 3.0, 20.0))
        self.world.note("broker away")


@contextmanager
def _prepared(world: World) -> Iterator[None]:
    """Let one record end whoever decodes it, and keep the service's log lines to itself."""
    logger = logging.getLogger("sessionfold_consumer")
    decode: Callable[[RecordBatch], Events] = service_commit.__dict__["decode"]

    def decode_or_crash(batch: RecordBatch) -> Events:
        if POISON in batch.values:
            world.crash("decode")
        return decode(batch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logger, "disabled", True)
        patch.setattr(service_commit, "decode", decode_or_crash)
        yield
