"""Damage to a journal file costs the records that it touches, and no others."""

from __future__ import annotations

import os
import shutil
from itertools import pairwise
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sessionfold._spooling import records as _records
from sessionfold._spooling.journal import DAMAGED_SUFFIX, Entry, Header, Journal
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
    set_aside,
    written,
)


@given(many_entries(least=1), st.data())
def test_one_wrong_byte_costs_one_record(entries: list[Entry], data: st.DataObject) -> None:
    """With any byte changed, all records but the one that has it are read.

    That one is set aside, byte for byte, and no entry comes back that was never written.
    """
    with folder() as where:
        path = where / NAME
        ends = written(path, entries)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        hit = next(number for number, end in enumerate(ends) if at < end)
        journal = Journal.open(path)
        spared = [each for number, each in enumerate(entries, 1) if number != hit]
        assert all_of(journal) == sorted(spared)
        assert journal.damaged_spans == 1
        start = ends[hit - 1] if hit else 0
        assert set_aside(path) == bytes(content[start : ends[hit]])
        assert journal.header.producer_id == HEADER.producer_id
        assert journal.header.topic == (HEADER.topic if hit else "")
        journal.close()


@given(many_entries(least=1), st.data())
def test_a_cut_file_gives_what_is_whole(entries: list[Entry], data: st.DataObject) -> None:
    """Cut anywhere, a file gives all records in front of the cut.

    The torn rest is set aside and cut off, so that what is appended next is framed well.
    """
    with folder() as where:
        path = where / NAME
        ends = written(path, entries)
        size = data.draw(st.integers(0, ends[-1]))
        os.truncate(path, size)
        journal = Journal.open(path)
        whole = [each for each, end in zip(entries, ends[1:], strict=True) if end <= size]
        assert all_of(journal) == sorted(whole)
        torn = size - max((end for end in ends if end <= size), default=0)
        assert journal.damaged_bytes == torn == len(set_aside(path))
        assert path.stat().st_size == journal.size_bytes == size - torn
        journal.append([Entry(2**63 + 1, 1, b"k", b"new")])
        journal.close()
        again = Journal.open(path)
        assert again.damaged_spans == 0
        assert len(all_of(again)) == len(whole) + 1
        again.close()


@given(many_entries(least=2), st.data(), st.binary(min_size=1, max_size=300))
def test_any_damage_spares_what_it_does_not_touch(
    entries: list[Entry], data: st.DataObject, rubbish: bytes
) -> None:
    """Whatever is written over whatever part: the records outside are read and nothing else is."""
    with folder() as where:
        path = where / NAME
        ends = written(path, entries)
        content = path.read_bytes()
        at = data.draw(st.integers(0, len(content) - 1))
        after = content[:at] + rubbish + content[at + len(rubbish) :]
        path.write_bytes(after)
        untouched = [
            each
            for each, (start, end) in zip(entries, pairwise(ends), strict=True)
            if end <= len(after) and after[start:end] == content[start:end]
        ]
        with opened(path) as journal:
            assert all_of(journal) == sorted(untouched)


def test_a_marker_inside_a_damaged_body_is_not_a_record(tmp_path: Path) -> None:
    """What a user has written does not become a record when the record around it is damaged."""
    path = tmp_path / NAME
    looks_real = _records.marker(NAME) + bytes([_records.EVENT, 20, 0, 0, 0]) + b"c" * 40
    ends = written(path, [entry(1), Entry(2, 1, b"k", looks_real * 3), entry(3)])
    content = bytearray(path.read_bytes())
    content[ends[1] + 30] ^= 1
    path.write_bytes(content)
    with opened(path) as journal:
        assert all_of(journal) == [entry(1), entry(3)]
        assert journal.damaged_spans == 1
        assert journal.damaged_bytes == ends[2] - ends[1]


def test_damage_longer_than_what_is_read_at_once(tmp_path: Path) -> None:
    """A record behind megabytes of rubbish is found, also when its marker is cut by a read."""
    path = tmp_path / NAME
    for megabytes, cut in ((1, 0), (1, 1), (1, 4), (1, 7), (1, 8), (1, 12), (1, 17), (3, 0)):
        ends = written(path, [entry(1), entry(2)])
        content = path.read_bytes()
        rubbish = (megabytes << 20) - ends[1] - cut
        path.write_bytes(content[: ends[1]] + b"r" * rubbish + content[ends[1] :])
        with opened(path) as journal:
            assert all_of(journal) == [entry(1), entry(2)]
            assert journal.damaged_bytes == rubbish
        path.unlink()


def test_damage_is_set_aside_once(tmp_path: Path) -> None:
    """Who opens the file next finds the damage noted: it is not copied or counted again."""
    path = tmp_path / NAME
    ends = written(path, [entry(number) for number in range(4)])
    content = bytearray(path.read_bytes())
    content[ends[1] + 20] ^= 255
    path.write_bytes(content)
    for spans in (1, 0, 0):
        with opened(path) as journal:
            assert journal.damaged_spans == spans
            assert all_of(journal) == [entry(0), entry(2), entry(3)]
    assert set_aside(path) == bytes(content[ends[1] : ends[2]])


@posix
def test_damage_that_cannot_be_set_aside_keeps_nothing_back(tmp_path: Path) -> None:
    """Where the copy cannot be written, the whole entries are still read.

    They stay readable with the torn end in front of what is appended.
    """
    path = tmp_path / NAME
    ends = written(path, [entry(1), entry(2)])
    os.truncate(path, ends[2] - 1)
    path.with_name(path.name + DAMAGED_SUFFIX).mkdir()
    with opened(path) as journal:
        assert all_of(journal) == [entry(1)]
        assert journal.damaged_spans == 1
        journal.append([entry(3)])
        journal.mark(1)
    with opened(path) as journal:
        assert all_of(journal) == [entry(3)]


def test_a_copy_under_another_name_is_no_journal(tmp_path: Path) -> None:
    """What somebody copies beside a journal is not sent a second time."""
    written(tmp_path / NAME, [entry(1)])
    other = tmp_path / NAME.replace("-0.", "-1.")
    shutil.copy(tmp_path / NAME, other)
    with opened(other) as journal:
        assert journal.waiting == 0
    assert set_aside(other) == (tmp_path / NAME).read_bytes()


def test_a_damaged_mark_repeats_a_suffix(tmp_path: Path) -> None:
    """Without the last mark the one before holds: more is sent again, nothing is left out."""
    path = tmp_path / NAME
    journal = Journal.create(path, HEADER)
    journal.append([entry(number) for number in range(1, 6)])
    journal.mark(2)
    journal.mark(4)
    journal.close()
    os.truncate(path, path.stat().st_size - 1)
    with opened(path) as again:
        assert all_of(again) == [entry(3), entry(4), entry(5)]


def test_bytes_that_change_under_us(tmp_path: Path) -> None:
    """An entry that cannot be read back any more is counted as lost, set aside, not waited for.

    The ones around it are read.
    """
    path = tmp_path / NAME
    journal = Journal.create(path, HEADER)
    journal.append([Entry(number, 5, b"k", b"value %d" % number) for number in range(5)])
    content = bytearray(path.read_bytes())
    content[content.index(b"value 1")] ^= 1
    content[content.index(b"value 2")] ^= 1
    content[content.index(b"value 4")] ^= 1
    path.write_bytes(content)
    assert [journal.read(1, EVERYTHING)[0].sequence for _ in range(2)] == [0, 3]
    assert journal.read(1, EVERYTHING) == []
    assert (journal.waiting, journal.waiting_calls, journal.lost_calls) == (2, 10, 15)
    assert set_aside(path).count(b"walue") == 3
    assert len(set_aside(path)) == journal.damaged_bytes
    journal.mark(3)
    assert journal.waiting == 0
    journal.close()
    with opened(path) as again:
        assert (again.waiting, again.damaged_spans) == (0, 0)


def test_a_file_that_somebody_empties(tmp_path: Path) -> None:
    """What was cut away is lost and counted; what is appended then is read."""
    path = tmp_path / NAME
    journal = Journal.create(path, HEADER)
    journal.append([entry(1), entry(2)])
    os.truncate(path, 0)
    journal.append([entry(3), entry(4, size=200)])
    assert all_of(journal) == [entry(3), entry(4, size=200)]
    assert (journal.waiting, journal.lost_calls) == (2, 2)
    journal.close()
    with opened(path) as again:
        assert all_of(again) == [entry(3), entry(4, size=200)]


def test_an_empty_file(tmp_path: Path) -> None:
    """A process that was killed before the header leaves a file of which the name says enough."""
    (tmp_path / NAME).touch()
    with opened(tmp_path / NAME) as journal:
        assert journal.header == Header(topic="", bootstrap_servers="", producer_id="p-1")
        assert (journal.waiting, journal.damaged_spans) == (0, 0)
