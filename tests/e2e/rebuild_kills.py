"""``sessionfold rebuild`` killed with SIGKILL, again and again, at any moment of it."""

from __future__ import annotations

import logging
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sessionfold_consumer.store import SessionStore, open_store
from tests.e2e.conftest import ROOT, SESSIONFOLD
from tests.e2e.rebuilds import Live

logger = logging.getLogger("tests.kills")


class Rebuild:
    """A rebuild as a process. Who ends the test with one that runs still has to kill it.

    Args:
        live: what it works on.
        store: the store, open to be asked.
        log: where it writes what it says; what earlier ones wrote there is gone.
    """

    def __init__(self, live: Live, store: SessionStore, log: Path) -> None:
        self._store = store
        self._log = log
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [SESSIONFOLD, "rebuild"],
                cwd=ROOT,
                env=live.cli.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    @property
    def has_ended(self) -> bool:
        """Whether it has come to its end by itself."""
        return self._process.poll() is not None

    @property
    def words(self) -> str:
        """What it has said so far."""
        return self._log.read_text()

    def is_filling(self) -> bool:
        """Say whether there is a shadow."""
        return self._store.info().shadow == "filling"

    def has_compared(self) -> bool:
        """Say whether it is about to switch."""
        return "compared with the live state" in self.words

    def has_switched(self) -> bool:
        """Say whether it has just switched."""
        return self._store.info().shadow == "kept"

    def kill(self) -> bool:
        """End it with SIGKILL; say whether it was not at its end before, a good one."""
        self._process.kill()
        code = self._process.wait()
        assert code in (0, -signal.SIGKILL), self.words
        return code != 0


@dataclass(frozen=True, kw_only=True)
class Aim:
    """When a kill comes: some random time after a moment."""

    has_come: Callable[[Rebuild], bool]
    longest_seconds: float


AIMS = {
    "the beginning of the fill": Aim(has_come=Rebuild.is_filling, longest_seconds=0.02),
    "the comparison and the switch": Aim(has_come=Rebuild.has_compared, longest_seconds=0.3),
    "the end of the switch": Aim(has_come=Rebuild.has_switched, longest_seconds=0.02),
    "the fill": Aim(has_come=Rebuild.is_filling, longest_seconds=0.5),
    "any time": Aim(has_come=lambda _: True, longest_seconds=3.0),
}


class RebuildKiller:
    """Kills one rebuild after the other, and looks after each at what it has left.

    Args:
        live: the store that they rebuild.
        folder: for what they say.
        chance: when.
    """

    def __init__(self, live: Live, folder: Path, chance: random.Random) -> None:
        self._live = live
        self._log = folder / "rebuild.log"
        self._chance = chance
        self._found: Counter[str] = Counter()

    def kill(self, times: int) -> Counter[str]:
        """Kill so often; return how many kills were aimed at what, and what they have left."""
        aims = [*AIMS]
        kills = 0
        with closing(open_store(self._live.store, read_only=True)) as store:
            while kills < times:
                kills += self._run_one(store, aims[kills % len(aims)])
        logger.info("%d kills: %s", kills, dict(self._found))
        return self._found

    def _run_one(self, store: SessionStore, aim: str) -> bool:
        """Run a rebuild up to a moment; say whether it was killed there and had not ended."""
        before = self._live.info()
        rebuild = Rebuild(self._live, store, self._log)
        self._wait(rebuild, AIMS[aim])
        was_killed = rebuild.kill()
        after = self._live.info()
        is_switched = after.generation != before.generation
        assert after.shadow in ({"kept"} if is_switched else {"empty", "filling"})
        assert is_switched or was_killed, rebuild.words
        self._live.assert_verified()
        self._assert_gone_on(rebuild, begun=before.shadow == "filling")
        self._found.update([f"killed at {aim}"] if was_killed else ["came to its end"])
        self._found[after.shadow] += was_killed
        if is_switched:
            self._live.wait_for_progress()
            self._live.good("--drop-old")
        return was_killed

    def _wait(self, rebuild: Rebuild, aim: Aim) -> None:
        while not rebuild.has_ended and not aim.has_come(rebuild):
            self._live.assert_well()
            time.sleep(0.005)
        deadline = time.monotonic() + self._chance.uniform(0, aim.longest_seconds)
        while not rebuild.has_ended and time.monotonic() < deadline:
            time.sleep(0.005)

    def _assert_gone_on(self, rebuild: Rebuild, *, begun: bool) -> None:
        """Expect that it took up what an earlier one had folded, if it came to that."""
        if "took over partitions" in rebuild.words:
            assert ("going on with it" in rebuild.words) == begun, rebuild.words
