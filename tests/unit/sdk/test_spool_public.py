"""``sessionfold.spool``: what lies on disk can be looked at and given up, whoever left it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import sessionfold as lai
from sessionfold import spool
from sessionfold._spooling.journal import DAMAGED_SUFFIX
from tests.services.spooling import end_with_spool, kill_with_spool, living_worker
from tests.unit.sdk.journals import entry, posix
from tests.unit.sdk.spools import left

_SERVERS = "one:9092,two:9092"


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A directory that is not there yet, nor the one above it."""
    return tmp_path / "state" / "spool"


def contents(where: Path) -> dict[str, tuple[bytes, int]]:
    """Return all that looking could change: names, bytes and times."""
    return {each.name: (each.read_bytes(), each.stat().st_mtime_ns) for each in where.iterdir()}


def damaged(where: Path) -> Path:
    """Leave a file of three events behind, the second of which is damaged."""
    path = left(where, entry(1), entry(2), entry(3))
    content = bytearray(path.read_bytes())
    content[-60] ^= 1
    path.write_bytes(content)
    return path


def test_what_killed_and_living_processes_have_there_is_seen(where: Path) -> None:
    """With its destination, how much it is, and who sends it; looking changes nothing."""
    spooled = kill_with_spool(where, _SERVERS, "events", 40)
    with living_worker(where, "three:9092", "others", 30) as waiting:
        before = contents(where)
        found = spool.status(where)
        assert contents(where) == before
    seen = {
        (each.header.topic, each.header.bootstrap_servers, each.calls, each.owner_alive)
        for each in found.files
    }
    assert seen == {
        ("events", _SERVERS, spooled, False),
        ("others", "three:9092", waiting, True),
    }
    assert spooled == 40 - 12
    assert found.directory == where
    assert (found.remains, found.unreadable, found.damaged) == ((), (), {})


def test_the_directory_is_the_workers_own(where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variable that they take it from, or where they make it without one."""
    path = left(where, entry(1))
    monkeypatch.setenv("SESSIONFOLD_SPOOL_DIRECTORY", str(where))
    assert [each.name for each in spool.status().files] == [path.name]
    monkeypatch.delenv("SESSIONFOLD_SPOOL_DIRECTORY")
    monkeypatch.setenv("XDG_STATE_HOME", str(where.parent))
    assert spool.status().directory == where.parent / "sessionfold" / "spool"
    assert spool.status().files == ()


def test_a_setting_that_cannot_work_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere in the SDK."""
    monkeypatch.setenv("SESSIONFOLD_SPOOL_MEGABYTES", "none")
    with pytest.raises(lai.ConfigurationError, match="SESSIONFOLD_SPOOL_MEGABYTES"):
        spool.status()


def test_a_named_directory_has_to_be_there(where: Path) -> None:
    """A slip of the pen must not read as good news."""
    with pytest.raises(spool.SpoolUnavailableError, match="No such file"):
        spool.status(where)
    assert not where.exists()


@posix
def test_a_directory_that_others_could_change_is_refused(where: Path, tmp_path: Path) -> None:
    """Nor is a link followed, or a file listed."""
    path = left(where, entry(1))
    link = tmp_path / "link"
    link.symlink_to(where)
    for unusable, why in ((link, "symbolic link"), (path, "not a directory")):
        with pytest.raises(spool.SpoolUnavailableError, match=why):
            spool.status(unusable)
    where.chmod(0o777)
    for use in (spool.status, spool.drop, spool.send):
        with pytest.raises(spool.SpoolUnavailableError, match="a folder of your own"):
            use(where)
    assert path.exists()


@posix
def test_what_cannot_be_opened_is_said(where: Path) -> None:
    """And is neither deleted nor taken for sent."""
    path = left(where, entry(1))
    link = path.with_name(path.name.replace("gone", "link"))
    link.symlink_to(path)
    [unreadable] = spool.status(where).unreadable
    assert (unreadable.name, unreadable.is_failure) == (link.name, True)
    assert str(link) in unreadable.reason
    dropped = spool.drop(where)
    assert (dropped.names, dropped.updates) == ((path.name,), 1)
    assert [each.name for each in dropped.left] == [link.name]
    assert link.is_symlink()


def test_dropping_counts_what_is_lost(where: Path) -> None:
    """Nothing of it is left, locks and damaged bytes included."""
    end_with_spool(where, _SERVERS, "events", 20)
    damaged(where)
    found = spool.status(where)
    dropped = spool.drop(where)
    assert set(dropped.names) == set(found.names)
    assert (dropped.updates, dropped.left) == (22, ())
    assert dropped.damaged_bytes == sum(found.damaged.values()) > 0
    assert list(where.iterdir()) == []


def test_dropping_by_name_leaves_the_others(where: Path) -> None:
    """What is no name of a spool file is not looked for, wherever it would lead."""
    kept, dropped = left(where, entry(1)), left(where, entry(2), producer_id="q")
    outside = where.parent / kept.name
    outside.write_text("not in the spool")
    names = [dropped.name, f"../{kept.name}", "nothing", f"{kept.name}.lock"]
    result = spool.drop(where, names=names)
    assert result.names == (dropped.name,)
    assert [each.name for each in result.left] == names[1:]
    assert [each.name for each in spool.status(where).files] == [kept.name]
    assert outside.exists()


def test_what_a_living_process_owns_is_not_dropped(where: Path) -> None:
    """By name neither."""
    with living_worker(where, _SERVERS, "events", 30) as waiting:
        [file] = spool.status(where).files
        for names in (None, [file.name]):
            dropped = spool.drop(where, names=names)
            assert (dropped.names, dropped.updates) == ((), 0)
            assert [(each.name, each.is_failure) for each in dropped.left] == [(file.name, False)]
        assert [each.calls for each in spool.status(where).files] == [waiting]


def test_dropping_damage_leaves_the_events(where: Path) -> None:
    """Damage that nobody had noticed until then included."""
    path = damaged(where)
    [lost] = spool.status(where).damaged.values()
    dropped = spool.drop(where, damaged_only=True)
    assert (dropped.names, dropped.updates) == ((path.name,), 0)
    assert dropped.damaged_bytes == lost
    found = spool.status(where)
    assert [each.events for each in found.files] == [2]
    assert found.damaged == {}
    assert spool.drop(where, damaged_only=True).names == ()


def test_damaged_bytes_stay_when_their_file_has_gone(where: Path) -> None:
    """They are listed by the name of the file, and can be dropped."""
    path = damaged(where)
    beside = path.with_name(path.name + DAMAGED_SUFFIX)
    spool.drop(where, damaged_only=True)
    beside.write_bytes(b"damaged")
    os.unlink(path)  # noqa: PTH108 - as another program would
    found = spool.status(where)
    assert found.files == ()
    assert found.names == [path.name]
    assert found.damaged == {path.name: 7}
    assert spool.drop(where, damaged_only=True).damaged_bytes == 7
    assert list(where.iterdir()) == []
