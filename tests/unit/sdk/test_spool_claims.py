"""A spool file has one owner: the process that has claimed it, until that process is gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from sessionfold._spooling.claims import Claim, is_held
from sessionfold._spooling.spool import Spool
from tests.unit.sdk.journals import posix
from tests.unit.sdk.spool_worker import DESTINATION

_ROOT = Path(__file__).parents[3]

Start = Callable[[], "Worker"]


class Worker:
    """A worker process; ``worker("create")`` tells it and returns its answer."""

    def __init__(self, directory: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.unit.sdk.spool_worker", str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=_ROOT,
        )

    def __call__(self, command: str, **arguments: object) -> Any:  # noqa: ANN401 - JSON
        """Tell and hear."""
        self.tell(command, **arguments)
        return self.hear()

    def tell(self, command: str, **arguments: object) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps([command, arguments]).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self) -> Any:  # noqa: ANN401 - JSON
        """Return the next answer."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def kill(self) -> None:
        """End it without any chance to tidy up."""
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """Close its pipes and see it gone."""
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.kill()


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """The spool directory."""
    return tmp_path / "spool"


@pytest.fixture
def start(where: Path) -> Iterator[Start]:
    """Starts workers, which end with the test."""
    with ExitStack() as ends:

        def started() -> Worker:
            worker = Worker(where)
            ends.callback(worker.end)
            return worker

        yield started


@pytest.fixture
def orphans() -> Iterator[list[int]]:
    """Processes that outlive their parents in a test, ended with it."""
    pids: list[int] = []
    yield pids
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@posix
def test_a_live_owner_keeps_its_files(start: Start) -> None:
    """What its owner still has is nobody else's; what it has closed is anybody's, once."""
    owner, other, third = start(), start(), start()
    name = owner("create")
    assert other("claim") == []
    owner("close")
    assert other("claim") == [name]
    assert third("claim") == []
    assert owner("claim") == []


@posix
def test_a_killed_owner_leaves_its_files(start: Start, where: Path) -> None:
    """After kill -9 the kernel has given up the claim: another process has the file at once."""
    owner, other = start(), start()
    name = owner("create")
    owner.kill()
    assert other("claim") == [name]
    assert other("finish") == 1
    assert list(where.iterdir()) == []


@posix
def test_a_killed_owner_whose_child_lives(start: Start, orphans: list[int]) -> None:
    """A forked child that lives on, and has not even let go of anything, holds no claim."""
    owner, other = start(), start()
    name = owner("create")
    orphans.append(owner("fork", then="linger"))
    owner.kill()
    os.kill(orphans[0], 0)
    assert other("claim") == [name]


@posix
def test_a_killed_owner_whose_program_lives(start: Start, orphans: list[int]) -> None:
    """A program that the owner has started holds no claim either."""
    owner, other = start(), start()
    name = owner("create")
    orphans.append(owner("start"))
    owner.kill()
    os.kill(orphans[0], 0)
    assert other("claim") == [name]


@posix
def test_a_child_takes_nothing_away(start: Start) -> None:
    """A forked child that lets go, claims for itself, and ends, leaves all to its parent."""
    owner, other = start(), start()
    name = owner("create")
    owner.tell("fork", then="claim")
    answers = [owner.hear(), owner.hear()]
    child = max(answers)
    assert True in [each for each in answers if each is not child]
    assert owner("wait", child=child) == 0
    assert other("claim") == []
    assert owner("finish") == 1
    assert other("claim") == []
    assert name


@posix
def test_many_claim_at_once(start: Start, where: Path, tmp_path: Path) -> None:
    """Of processes that claim at the same time, exactly one gets each file."""
    check_races(start, tmp_path, files=300)
    assert list(where.iterdir()) == []


@posix
@pytest.mark.soak
def test_many_claim_at_once_for_long(start: Start, where: Path, tmp_path: Path) -> None:
    """The same with thousands of files."""
    check_races(start, tmp_path, files=5_000)
    assert list(where.iterdir()) == []


def check_races(start: Start, tmp_path: Path, *, files: int) -> None:
    """One process makes files and closes them, three take what they can get."""
    (tmp_path / "done").touch()
    maker, *takers = [start() for _ in range(4)]
    for taker in takers:
        assert taker("claim") == []  # now all of them run, and none is late
    for taker in takers:
        taker.tell("claim_until", count=files)
    made: list[str] = []
    for _ in range(0, files, 3):
        made += [maker("create") for _ in range(3)]
        maker("close")
    taken = [taker.hear() for taker in takers]
    assert sorted(chain.from_iterable(taken)) == sorted(made)
    assert sum(map(bool, taken)) > 1


@posix
def test_two_spools_in_one_process(where: Path, tmp_path: Path) -> None:
    """The kernel does not tell them apart; they do, by whatever path they come."""
    (tmp_path / "same").symlink_to(tmp_path)
    first = Spool(where, DESTINATION, "one")
    second = Spool(tmp_path / "same" / "spool", DESTINATION, "two")
    journal = first.create()
    assert second.claim_orphans() == []
    assert second._open == {}
    first.close()
    [claimed] = second.claim_orphans()
    assert claimed.path.name == journal.path.name
    assert first.claim_orphans() == []
    second.close()


@posix
def test_looking_at_a_claim_leaves_it(where: Path, start: Start) -> None:
    """Whether a file is owned can be seen from outside and by its owner, and changes nothing."""
    where.mkdir()
    path = where / "file.lock"
    assert not is_held(path)
    assert not path.exists()
    claim = Claim.take(path)
    assert claim is not None
    assert is_held(path)
    assert Claim.take(path) is None
    assert _taken_elsewhere(path) == "False"
    claim.release(delete=False)
    assert not is_held(path)
    assert _taken_elsewhere(path) == "True"


def _taken_elsewhere(path: Path) -> str:
    program = (
        "import sys; from pathlib import Path;"
        "from sessionfold._spooling.claims import Claim, is_held;"
        "path = Path(sys.argv[1]); held = is_held(path); taken = Claim.take(path) is not None;"
        "assert held != taken; print(taken)"
    )
    command = [sys.executable, "-c", program, str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@posix
def test_a_lock_file_that_was_deleted_guards_nothing(where: Path) -> None:
    """A claim on a file without a name is none: the next comer would lock another of that name."""
    where.mkdir()
    path = where / "file.lock"
    claim = Claim.take(path)
    assert claim is not None
    claim.release(delete=True)
    assert not path.exists()
    again = Claim.take(path)
    assert again is not None
    again.release(delete=True)
