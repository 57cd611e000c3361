"""Which other files hold events of a session is known, also while they are written."""

from __future__ import annotations

from pathlib import Path

import pytest

from sessionfold._spooling.journal import DAMAGED_SUFFIX, Entry
from tests.unit.sdk.spools import left, spool


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A directory that is not there yet, nor the one above it."""
    return tmp_path / "state" / "spool"


def test_which_others_have_a_session(where: Path) -> None:
    """Files of processes that live or are gone count, adopted ones too; the own ones do not."""
    gone = left(where, Entry(0, 1, b"a", b"v"), Entry(1, 1, b"b", b"v")).name
    living = spool(where, "living")
    alive = living.create()
    ours = spool(where)
    own = ours.create()
    own.append([Entry(0, 1, b"a", b"v")])
    assert ours.others_with(b"a") == (gone,)
    assert ours.others_with(b"c") == ()
    alive.append([Entry(0, 1, b"c", b"v")])
    alive.append([Entry(1, 1, b"a", b"v")])
    assert ours.others_with(b"a") == tuple(sorted([gone, alive.path.name]))
    assert ours.others_with(b"c") == (alive.path.name,)
    [adopted] = ours.claim_orphans()
    assert ours.others_with(b"b") == (adopted.path.name,)
    assert ours.exists(adopted.path.name)
    adopted.remove()
    ours.release(adopted)
    assert not ours.exists(gone)
    assert ours.others_with(b"b") == ()
    assert ours.others_with(b"a") == (alive.path.name,)
    ours.close()
    living.close()


def test_a_record_that_is_being_written(where: Path) -> None:
    """The part of a record that is there already is no damage: the rest is read when it comes."""
    path = left(where, Entry(0, 1, b"a", b"v"))
    ours = spool(where)
    assert ours.others_with(b"b") == ()
    left(where.with_name("other"), Entry(0, 1, b"a", b"v"), Entry(1, 1, b"b", b"v"))
    grown = (where.with_name("other") / path.name).read_bytes()
    lookers = [ours]
    for size in range(path.stat().st_size, len(grown)):
        path.write_bytes(grown[:size])
        lookers.append(spool(where))
        assert lookers[-1].others_with(b"a") == (path.name,)
        assert ours.others_with(b"b") == ()
    path.write_bytes(grown)
    assert all(looker.others_with(b"b") == (path.name,) for looker in lookers)
    assert not path.with_name(path.name + DAMAGED_SUFFIX).exists()


@pytest.mark.parametrize("size", [1, 100])
def test_a_file_that_was_cut_back(where: Path, size: int) -> None:
    """What a writer could not finish and has written anew, shorter or longer, is read anew."""
    living = spool(where, "living")
    journal = living.create()
    short = journal.size_bytes
    journal.append([Entry(0, 1, b"a", b"v" * 50)])
    ours = spool(where)
    assert ours.others_with(b"a") == (journal.path.name,)
    journal._cut(short)
    journal.append([Entry(0, 1, b"bb", b"v" * size)])
    assert ours.others_with(b"bb") == (journal.path.name,)
    journal.append([Entry(1, 1, b"cc", b"v" * size)])
    assert ours.others_with(b"cc") == (journal.path.name,)
    living.close()


def test_what_was_read_is_not_read_again(where: Path) -> None:
    """A file that others go on writing costs only what is new in it."""
    path = left(where, Entry(0, 1, b"a", b"v"))
    ours = spool(where)
    assert ours.others_with(b"a") == (path.name,)
    content = path.read_bytes()
    path.write_bytes(b"?" * len(content))
    assert ours.others_with(b"a") == (path.name,)
    path.write_bytes(b"?" * len(content) + content)
    assert ours.others_with(b"a") == (path.name,)
