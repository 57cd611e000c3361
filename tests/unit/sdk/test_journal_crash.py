"""A journal outlives its process, and a disk that is full."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.sdk.journals import NAME, all_of, opened, posix

_ON_A_FULL_DISK = """
import resource, sys
from pathlib import Path
from sessionfold._spooling.journal import Entry, Header, Journal, JournalError

path, room = Path(sys.argv[1]), int(sys.argv[2])
header = Header(topic="t", bootstrap_servers="b", producer_id="p")

def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

def entries(first):
    return [Entry(number, 1, b"key", b"v" * 50) for number in range(first, first + 10)]

journal = Journal.create(path, header)
journal.append(entries(0))
size = journal.size_bytes
limit(size + room)
for attempt in (1, 2):
    try:
        journal.append(entries(10))
    except JournalError as error:
        assert "File too large" in str(error), error
        assert str(path) in str(error), error
    else:
        sys.exit("there was room")
    assert (path.stat().st_size, journal.size_bytes) == (size, size)
assert len(journal.read(99, 10**6)) == 10
limit(resource.RLIM_INFINITY)
journal.append(entries(10))
assert [each.sequence for each in journal.read(99, 10**6)] == list(range(10, 20))
limit(journal.size_bytes + 5)
try:
    journal.mark(14)
except JournalError:
    assert journal.waiting == 5
else:
    sys.exit("the mark was written")
limit(3)
try:
    Journal.create(path.with_name("second.spool"), header)
except JournalError:
    assert not path.with_name("second.spool").exists()
else:
    sys.exit("the header was written")
"""


@posix
@pytest.mark.parametrize("room", [0, 1, 17, 300])
def test_a_full_disk_takes_all_or_nothing(tmp_path: Path, room: int) -> None:
    """A batch that does not fit leaves the file as it was; with room again it goes on.

    What a mark cannot write, this process remembers; a file whose header does not fit is not left
    behind.
    """
    path = tmp_path / NAME
    subprocess.run([sys.executable, "-c", _ON_A_FULL_DISK, str(path), str(room)], check=True)
    with opened(path) as journal:
        assert [each.sequence for each in all_of(journal)] == list(range(20))
        assert journal.damaged_spans == 0


_WRITER = """
import os, sys
from pathlib import Path
from sessionfold._spooling.journal import Entry, Header, Journal

seed = int(sys.argv[2])
header = Header(topic="t", bootstrap_servers="b", producer_id="p")
journal = Journal.create(Path(sys.argv[1]), header)
print("ready", flush=True)
sequence = 0
while True:
    batch = [Entry(n, 1, b"key-%d" % (n % 7), b"v" * (n * 37 % 1500)) for n in
             range(sequence, sequence + 1 + (sequence + seed) % 60)]
    journal.append(batch)
    sequence += len(batch)
    if sequence % 5 == 0:
        journal.mark(sequence - 200 if sequence > 200 else 0)
    os.write(1, b"%d\\n" % sequence)
"""


@posix
@pytest.mark.parametrize("seed", range(8))
def test_a_killed_writer(tmp_path: Path, seed: int) -> None:
    """Killed at any moment, a process leaves everything whose append has returned."""
    kill_a_writer(tmp_path, seed)


@posix
@pytest.mark.soak
@pytest.mark.parametrize("seed", range(100, 300))
def test_many_killed_writers(tmp_path: Path, seed: int) -> None:
    """The same, 200 times."""
    kill_a_writer(tmp_path, seed)


def kill_a_writer(where: Path, seed: int) -> None:
    """Start one, kill it after a random number of reports, and compare."""
    path = where / NAME
    arguments = [sys.executable, "-c", _WRITER, str(path), str(seed)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"ready\n"
        for _ in range(random.Random(seed).randrange(400)):
            writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        reported = writer.stdout.read().split(b"\n")[:-1]
    returned = max([int(line) for line in reported], default=0)
    with opened(path) as journal:
        found = all_of(journal)
    assert [each.sequence for each in found] == list(
        range(found[0].sequence if found else 0, found[-1].sequence + 1 if found else 0)
    )
    assert (found[-1].sequence + 1 if found else 0) >= returned
    assert all(len(each.value) == each.sequence * 37 % 1500 for each in found)
    with suppress(FileNotFoundError):
        shutil.rmtree(where)
