"""A journal gives back what was appended to it, in order, from behind its mark."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold._spooling.journal import DAMAGED_SUFFIX, Entry, Header, Journal, JournalError
from tests.unit.sdk.journals import (
    EVERYTHING,
    HEADER,
    NAME,
    all_of,
    entry,
    folder,
    many_entries,
    opened,
    posix,
    written,
)


@given(many_entries(), st.data(), st.integers(1, 5), st.integers(0, 3000))
def test_round_trip(
    entries: list[Entry], data: st.DataObject, most_entries: int, most_bytes: int
) -> None:
    """Whatever is appended in whatever batches is read back in the order of sequences.

    In this process and in the next, however little is asked for at a time.
    """
    with folder() as where:
        journal = Journal.create(where / NAME, HEADER)
        rest = entries
        while rest:
            size = data.draw(st.integers(1, len(rest)))
            journal.append(rest[:size])
            rest = rest[size:]
        again = Journal.open(where / NAME)
        for each in (journal, again):
            found = list[Entry]()
            while some := each.read(most_entries, most_bytes):
                assert len(some) <= most_entries
                found += some
            assert found == sorted(entries)
            assert each.waiting == len(entries)
            assert each.waiting_calls == sum(each.calls for each in entries)
            assert each.header == HEADER
            assert each.size_bytes == (where / NAME).stat().st_size
            assert (each.damaged_spans, each.damaged_bytes, each.lost_calls) == (0, 0, 0)
            each.close()


def test_marks_are_a_prefix_that_never_shrinks(tmp_path: Path) -> None:
    """What is up to the greatest mark is not read again: not after a rewind, not after opening."""
    journal = Journal.create(tmp_path / NAME, HEADER)
    journal.append([Entry(number, 10 + number, b"k", b"v") for number in (5, 1, 3, 8)])
    assert [each.sequence for each in journal.read(2, EVERYTHING)] == [1, 3]
    journal.mark(3)
    size = journal.size_bytes
    journal.mark(1)
    assert journal.size_bytes == size
    assert (journal.waiting, journal.waiting_calls) == (2, 15 + 18)
    assert [each.sequence for each in all_of(journal)] == [5, 8]
    assert journal.waiting == 2
    journal.rewind()
    assert [each.sequence for each in journal.read(1, EVERYTHING)] == [5]
    journal.close()
    with opened(tmp_path / NAME) as again:
        assert (again.waiting, again.waiting_calls) == (2, 15 + 18)
        again.mark(7)
        assert [each.sequence for each in all_of(again)] == [8]
        again.mark(2**64 - 1)
        assert (again.waiting, again.waiting_calls) == (0, 0)


def test_appending_while_reading(tmp_path: Path) -> None:
    """New entries come behind those that wait, over thousands of marks, in bounded memory."""
    journal = Journal.create(tmp_path / NAME, HEADER)
    expected = iter(range(100_000))
    for first in range(0, 30_000, 1_000):
        numbers = list(range(first, first + 1_000))
        random.Random(first).shuffle(numbers)
        journal.append([entry(number) for number in numbers[:500]])
        journal.append([entry(number) for number in numbers[500:]])
        for _ in range(3):
            for each in journal.read(300, EVERYTHING):
                assert each == entry(next(expected))
                journal.mark(each.sequence)
        while journal.waiting > 900:
            for each in journal.read(7, EVERYTHING):
                assert each == entry(next(expected))
                journal.mark(each.sequence)
        rest = all_of(journal)
        assert rest == [entry(next(expected)) for _ in rest]
        journal.mark(rest[-1].sequence)
        assert journal.waiting == 0
        assert len(journal._index.sequences) < 10_000
    assert next(expected) == 30_000
    journal.close()


def test_the_index_is_24_bytes_an_entry(tmp_path: Path) -> None:
    """Values stay on disk: a million waiting events are 24 MB in memory."""
    journal = Journal.create(tmp_path / NAME, HEADER)
    assert sum(column.itemsize for column in journal._index._columns()) == 24
    journal.close()


@pytest.mark.parametrize("late", [0, 1, 3, 5])
def test_an_entry_that_comes_too_late_is_refused(tmp_path: Path, late: int) -> None:
    """What is passed by the mark or by reading is refused, with its whole batch.

    The next mark could leave it out.
    """
    journal = Journal.create(tmp_path / NAME, HEADER)
    journal.append([entry(1), entry(3), entry(5), entry(9)])
    journal.read(3, EVERYTHING)
    journal.mark(1)
    size = journal.size_bytes
    with pytest.raises(ValueError, match=f"the entry {late} comes too late"):
        journal.append([entry(7), entry(late)])
    assert (journal.size_bytes, journal.waiting) == (size, 3)
    if late > 1:
        journal.rewind()
        journal.append([entry(late)])
        assert journal.waiting == 4
    journal.close()


def test_the_longest_event_fits(tmp_path: Path) -> None:
    """Four texts of the longest that is allowed are one entry; longer than two records is none."""
    journal = Journal.create(tmp_path / NAME, HEADER)
    longest = Entry(1, 1, b"k" * 512, b"v" * (4 * 262_144 + 500))
    journal.append([entry(0), longest, entry(2)])
    with pytest.raises(ValueError, match="longer than a journal takes"):
        journal.append([entry(3), Entry(4, 1, b"k", b"v" * (2 << 20))])
    assert journal.read(9, 1000) == [entry(0)]
    assert journal.read(9, 1000) == [longest]
    assert journal.read(9, 1000) == [entry(2)]
    journal.close()


def test_nothing_to_append(tmp_path: Path) -> None:
    """An empty batch writes nothing."""
    journal = Journal.create(tmp_path / NAME, HEADER)
    size = journal.size_bytes
    journal.append([])
    assert (tmp_path / NAME).stat().st_size == size
    journal.close()


def test_the_header_keeps_what_it_waits_for(tmp_path: Path) -> None:
    """The files that must go first are known to whoever opens this one."""
    header = Header(topic="t", bootstrap_servers="b", producer_id="p", behind=("a.spool", "é"))
    Journal.create(tmp_path / NAME, header).close()
    with opened(tmp_path / NAME) as journal:
        assert journal.header == header


@posix
def test_only_its_owner_can_read_it(tmp_path: Path) -> None:
    """The file and what is set aside beside it hold users' texts: nobody else can read them."""
    path = tmp_path / NAME
    ends = written(path, [entry(1)])
    os.truncate(path, ends[1] - 1)
    Journal.open(path).close()
    for each in (path, path.with_name(path.name + DAMAGED_SUFFIX)):
        assert each.stat().st_mode & 0o777 == 0o600


@posix
@pytest.mark.parametrize("kind", ["file", "link", "dangling link", "directory", "pipe"])
def test_create_takes_no_ones_place(tmp_path: Path, kind: str) -> None:
    """A name that is taken is refused, whatever it is, and stays as it is."""
    path = tmp_path / NAME
    put(path, kind)
    with pytest.raises(JournalError, match=r"spool: File exists"):
        Journal.create(path, HEADER)
    assert path.is_symlink() or path.exists()


@posix
@pytest.mark.parametrize("kind", ["link", "dangling link", "directory", "pipe", "nothing"])
def test_open_opens_files_only(tmp_path: Path, kind: str) -> None:
    """What is no regular file is refused without waiting for it, in a clause with the path."""
    path = tmp_path / NAME
    put(path, kind)
    with pytest.raises(JournalError, match=str(path)):
        Journal.open(path)


def put(path: Path, kind: str) -> None:
    """Put something of a kind in a path."""
    if kind == "file":
        path.write_bytes(b"mine")
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind.endswith("link"):
        target = path.with_name("target")
        path.symlink_to(target)
        if kind == "link":
            target.write_bytes(b"mine")


@posix
def test_a_file_deleted_under_us(tmp_path: Path) -> None:
    """It shows, and everything in it can still be read and moved elsewhere."""
    where = tmp_path / "spool"
    where.mkdir()
    journal = Journal.create(where / NAME, HEADER)
    journal.append([entry(1)])
    assert not journal.vanished
    shutil.rmtree(where)
    assert journal.vanished
    journal.append([entry(2)])
    assert all_of(journal) == [entry(1), entry(2)]
    journal.mark(1)
    with pytest.raises(JournalError, match="No such file"):
        journal.sync()
    journal.remove()


def test_the_end_of_a_file(tmp_path: Path) -> None:
    """Removing and closing can be repeated, and a file that is gone already is no error."""
    journal = Journal.create(tmp_path / NAME, HEADER)
    journal.append([entry(1)])
    journal.sync()
    journal.sync()
    journal.remove()
    journal.remove()
    journal.close()
    assert list(tmp_path.iterdir()) == []
    assert journal.vanished
    for use in (journal.sync, lambda: journal.append([entry(2)]), lambda: journal.mark(1)):
        with pytest.raises(JournalError, match="Bad file descriptor"):
            use()


def test_reading_fails_in_a_clause_and_loses_nothing(tmp_path: Path) -> None:
    """After an error of the disk the same entries are next."""
    journal = Journal.create(tmp_path / NAME, HEADER)
    journal.append([entry(1), entry(2)])
    journal.close()
    for _ in range(2):
        with pytest.raises(JournalError, match=f"{NAME}: Bad file descriptor"):
            journal.read(1, EVERYTHING)
    assert (journal.waiting, journal.lost_calls) == (2, 0)
    with opened(tmp_path / NAME) as again:
        journal._descriptor, again._descriptor = again._descriptor, -1
        assert all_of(journal) == [entry(1), entry(2)]
    journal.close()


def test_the_same_sequence_twice(tmp_path: Path) -> None:
    """Both are read, in the order of appending, also behind a later one."""
    journal = Journal.create(tmp_path / NAME, HEADER)
    first, second = Entry(1, 1, b"k", b"z"), Entry(1, 1, b"k", b"a")
    journal.append([entry(2), first])
    journal.append([second])
    assert all_of(journal) == [first, second, entry(2)]
    journal.mark(1)
    assert journal.waiting == 1
    journal.close()
