"""The spool names its files, takes over those of its destination, and leaves no litter."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from sessionfold._spooling.journal import Header, Journal
from sessionfold._spooling.spool import Destination
from tests.unit.sdk.journals import all_of, entry, posix
from tests.unit.sdk.spools import HERE, left, spool


@pytest.fixture
def where(tmp_path: Path) -> Path:
    """A directory that is not there yet, nor the one above it."""
    return tmp_path / "state" / "spool"


def test_names(where: Path) -> None:
    """A file's name says where its events go and who made it; each is made once."""
    ours = spool(where, "c0ffee-1")
    first, second = ours.create(), ours.create(behind=("a.spool",))
    assert first.path.name == f"{HERE.name()}-c0ffee-1-0.spool"
    assert second.path.name == f"{HERE.name()}-c0ffee-1-1.spool"
    assert second.header == Header(
        topic="events",
        bootstrap_servers="one:9092,two:9092",
        producer_id="c0ffee-1",
        behind=("a.spool",),
    )
    ours.close()
    again = spool(where, "c0ffee-1")
    assert again.create().path.name == f"{HERE.name()}-c0ffee-1-2.spool"
    again.close()


def test_a_destination_is_its_topic_and_brokers_in_any_order() -> None:
    """The same brokers written differently are the same destination; another topic is another."""
    same = Destination(topic="events", bootstrap_servers=" two:9092, one:9092")
    assert same.name() == HERE.name()
    assert len(HERE.name()) == 16
    others = [("event", "sone:9092,two:9092"), ("events", "one:9092"), ("others", "one:9092")]
    assert len({Destination(topic=a, bootstrap_servers=b).name() for a, b in others}) == 3


def test_only_orphans_of_this_destination(where: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Another topic's or another broker's events are not ours to send."""
    elsewhere = spool(where, "q", Destination(topic="others", bootstrap_servers="one:9092"))
    elsewhere.create().append([entry(1)])
    elsewhere.close()
    (where / "notes.spool").touch()
    (where / f"{HERE.name()}-p-0.spool.bak").touch()
    name = left(where, entry(1)).name
    ours = spool(where)
    assert [journal.path.name for journal in ours.claim_orphans()] == [name]
    assert ours.claim_orphans() == []
    assert ours.others_with(b"session") == (name,)
    assert caplog.messages == []
    ours.close()


def test_what_is_closed_can_be_claimed_again(where: Path) -> None:
    """Also by the one who has closed it."""
    path = left(where, entry(1), entry(2))
    ours = spool(where)
    for _ in range(2):
        [journal] = ours.claim_orphans()
        assert all_of(journal) == [entry(1), entry(2)]
        ours.release(journal)
        ours.release(journal)
    assert path.exists()


def test_delivered_files_leave_nothing(where: Path) -> None:
    """After the last event neither the file nor its lock remains, and stale locks are tidied up."""
    path = left(where, entry(1))
    path.with_name(path.name.replace("-0.", "-7.") + ".lock").touch()
    ours = spool(where)
    [journal] = ours.claim_orphans()
    journal.mark(1)
    journal.remove()
    ours.release(journal)
    assert list(where.iterdir()) == []


def test_a_damaged_header(where: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The file's name says enough to send its events; what was damaged is said once."""
    path = left(where, entry(1))
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    ours = spool(where)
    [journal] = ours.claim_orphans()
    assert journal.header == Header(
        topic=HERE.topic, bootstrap_servers=HERE.bootstrap_servers, producer_id="gone"
    )
    assert all_of(journal) == [entry(1)]
    [said] = caplog.messages
    assert "damaged bytes of a spool file were set aside" in said
    assert str(path) in said
    ours.close()


def test_a_file_that_is_for_elsewhere(where: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Renamed by hand or not: what says that it is for another topic is not sent to this one."""
    elsewhere = Header(topic="others", bootstrap_servers="one:9092", producer_id="q")
    left(where, entry(1))
    path = where / f"{HERE.name()}-q-0.spool"
    Journal.create(path, elsewhere).close()
    ours = spool(where)
    for _ in range(2):
        for journal in ours.claim_orphans():
            assert journal.path != path
    [said] = caplog.messages
    assert str(path) in said
    assert path.exists()
    ours.close()


@posix
def test_what_cannot_be_opened_is_said_once(where: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It is left where it is, and keeps nothing else from being claimed."""
    name = left(where, entry(1)).name
    strange = where / f"{HERE.name()}-aaa-0.spool"
    strange.mkdir()
    strange.with_name(f"{HERE.name()}-bbb-0.spool").symlink_to(where / name)
    ours = spool(where)
    assert [journal.path.name for journal in ours.claim_orphans()] == [name]
    assert ours.claim_orphans() == []
    assert ours.others_with(b"session") == (name,)
    assert len([message for message in caplog.messages if "is left alone" in message]) == 2
    ours.close()


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc/passwd", "notes", "a-b-c.spool"])
def test_strange_names_do_not_exist(where: Path, name: str) -> None:
    """A file cannot wait for something that is no spool file, whatever its header says."""
    left(where, entry(1))
    (where / "notes").touch()
    assert not spool(where).exists(name)


def test_nothing_is_logged_when_all_is_well(where: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A worker whose spool works reads nothing of it."""
    caplog.set_level(logging.DEBUG)
    left(where, entry(1))
    ours = spool(where)
    [journal] = ours.claim_orphans()
    ours.others_with(b"session")
    journal.remove()
    ours.release(journal)
    ours.close()
    assert caplog.messages == []
