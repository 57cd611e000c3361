"""The spool directory is its user's alone, and an error when it cannot be."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sessionfold._spooling.spool import SpoolUnavailableError, default_directory, list_files
from tests.unit.sdk.journals import all_of, entry, folder, posix
from tests.unit.sdk.spools import spool

as_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="only root may give files away"
)


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A directory that is not there yet, nor the one above it."""
    return tmp_path / "state" / "spool"


def test_nothing_is_there_until_something_is_written(where: Path) -> None:
    """Looking makes no directory; the first file does, for its user only."""
    looking = spool(where)
    assert looking.claim_orphans() == []
    assert looking.others_with(b"session") == ()
    assert not looking.exists("0123456789abcdef-p-0.spool")
    assert list_files(where) == []
    looking.close()
    assert not where.parent.exists()
    old = os.umask(0)
    try:
        journal = looking.create()
    finally:
        os.umask(old)
    if sys.platform != "win32":
        assert [stat.S_IMODE(each.stat().st_mode) for each in (where, where.parent)] == [0o700] * 2
        assert {stat.S_IMODE(each.stat().st_mode) for each in where.iterdir()} == {0o600}
    assert journal.path.parent == where
    looking.close()


@posix
@pytest.mark.parametrize(
    ("environment", "directory"),
    [
        ({"XDG_STATE_HOME": "/state", "HOME": "/home/me"}, "/state/sessionfold/spool"),
        (
            {"XDG_STATE_HOME": "state", "HOME": "/home/me"},
            "/home/me/.local/state/sessionfold/spool",
        ),
        ({"XDG_STATE_HOME": "", "HOME": "/home/me"}, "/home/me/.local/state/sessionfold/spool"),
        ({}, "~/.local/state/sessionfold/spool"),
    ],
)
def test_the_default_directory(environment: dict[str, str], directory: str) -> None:
    """It is where the system keeps a user's state."""
    assert default_directory(environment) == Path(directory)


@posix
def test_a_relative_directory_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that changes its directory does not take the spool along."""
    monkeypatch.chdir(tmp_path)
    ours = spool(Path("here"))
    monkeypatch.chdir("/")
    assert ours.create().path.parent == tmp_path / "here"
    ours.close()


@posix
def test_nobodys_home() -> None:
    """Without a home directory, which containers may lack, the message says what to set."""
    unknown = spool(Path("~no-such-user-here/spool"))
    assert unknown.claim_orphans() == []
    with pytest.raises(SpoolUnavailableError, match=r"no home directory.*SESSIONFOLD_SPOOL_D"):
        unknown.create()


def make_unsafe(where: Path, how: str) -> None:
    """Make a directory one that is not to be used."""
    where.parent.mkdir(parents=True)
    if how == "link":
        where.with_name("target").mkdir(mode=0o700)
        where.symlink_to("target")
    elif how == "file":
        where.touch()
    elif how == "owner":
        where.mkdir(mode=0o700)
        os.chown(where, 4321, 0)
    else:
        where.mkdir()
        where.chmod(0o720 if how == "group" else 0o702)


@posix
@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("link", "is a symbolic link; name the directory itself"),
        ("file", "is not a directory"),
        ("group", "can be written by others; name a folder "),
        ("others", "can be written by others; name a folder "),
        pytest.param("owner", "belongs to another user (ID 4321)", marks=as_root),
    ],
)
def test_a_directory_that_others_could_change(
    where: Path, how: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is not written to and nothing in it is trusted; the reason names it and what to do."""
    make_unsafe(where, how)
    ours = spool(where)
    with pytest.raises(SpoolUnavailableError) as refused:
        ours.create()
    assert str(refused.value).startswith(f"{where} ")
    assert reason in str(refused.value)
    with pytest.raises(SpoolUnavailableError):
        list_files(where)
    for _ in range(3):
        assert ours.claim_orphans() == []
        assert ours.others_with(b"session") == ()
    [said] = caplog.messages
    assert reason in said


@posix
def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    """It is an error with the path and the system's reason, not a crash."""
    (tmp_path / "file").touch()
    ours = spool(tmp_path / "file" / "spool")
    with pytest.raises(SpoolUnavailableError, match=f"{tmp_path}/file/spool: Not a directory"):
        ours.create()
    assert ours.claim_orphans() == []
    assert ours.others_with(b"session") == ()


_WITHOUT_RIGHTS = """
import os, sys
from pathlib import Path
from sessionfold._spooling.spool import Destination, Spool, SpoolUnavailableError

if os.geteuid() == 0:
    os.setgroups([]); os.setgid(4321); os.setuid(4321)
spool = Spool(Path(sys.argv[1]), Destination(topic="events", bootstrap_servers="b"), "p")
try:
    spool.create()
except SpoolUnavailableError as error:
    print(error)
assert spool.claim_orphans() == []
spool.close()
"""


@posix
def test_a_directory_that_cannot_be_written() -> None:
    """A user without the right to write gets the path and the system's reason."""
    with folder() as above:
        above.chmod(0o711)
        where = above / "spool"
        where.mkdir(mode=0o500)
        if os.geteuid() == 0:
            os.chown(where, 4321, 4321)
        command = [sys.executable, "-c", _WITHOUT_RIGHTS, str(where)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        assert said.startswith(str(where))
        assert said.endswith(": Permission denied\n")
        assert list(where.iterdir()) == []


_FULL = """
import resource, sys
from pathlib import Path
from sessionfold._spooling.spool import Destination, Spool
from sessionfold._spooling.journal import JournalError

resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
spool = Spool(Path(sys.argv[1]), Destination(topic="events", bootstrap_servers="b"), "p")
for _ in range(3):
    try:
        spool.create()
    except JournalError as error:
        print(error)
spool.close()
"""


@posix
def test_a_full_disk_leaves_no_litter(where: Path) -> None:
    """A file that cannot be begun is gone again, with its lock, however often it is tried."""
    command = [sys.executable, "-c", _FULL, str(where)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.count("File too large") == 3
    assert list(where.iterdir()) == []


@posix
def test_a_directory_deleted_under_us(where: Path) -> None:
    """It shows; the next file is made in a new one."""
    ours = spool(where)
    journal = ours.create()
    journal.append([entry(1)])
    shutil.rmtree(where.parent)
    assert journal.vanished
    assert ours.claim_orphans() == []
    moved = ours.create()
    moved.append(all_of(journal))
    ours.release(journal)
    assert not moved.vanished
    assert all_of(moved) == [entry(1)]
    assert len(list(where.iterdir())) == 2
    ours.close()
