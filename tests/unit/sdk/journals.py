"""What tests of journal files share: entries, and looks at a file."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import strategies as st

from sessionfold._spooling import records as _records
from sessionfold._spooling.journal import DAMAGED_SUFFIX, Entry, Header, Journal

HEADER = Header(topic="events", bootstrap_servers="one:9092,two:9092", producer_id="p-1")

NAME = "0123456789abcdef-p-1-0.spool"

EVERYTHING = 1 << 30

posix = pytest.mark.skipif(sys.platform == "win32", reason="POSIX files")

keys = st.binary(min_size=1, max_size=12)

values = st.one_of(st.binary(max_size=40), st.just(_records.marker(NAME)), st.just(b"v" * 2000))

calls = st.integers(1, 2**32 - 1)


@st.composite
def many_entries(draw: st.DrawFn, least: int = 0) -> list[Entry]:
    """Entries with different sequences in any order."""
    numbers = draw(st.lists(st.integers(0, 2**63), unique=True, min_size=least, max_size=12))
    return [Entry(number, draw(calls), draw(keys), draw(values)) for number in numbers]


@contextmanager
def folder() -> Iterator[Path]:
    """A fresh folder: hypothesis makes many in one test."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    """An opened journal, closed again."""
    journal = Journal.open(path)
    yield journal
    journal.close()


def entry(sequence: int, size: int = 5) -> Entry:
    """An entry whose value says which it is."""
    return Entry(sequence, 1, b"session", b"%d " % sequence + b"v" * size)


def all_of(journal: Journal) -> list[Entry]:
    """What is left to read."""
    return journal.read(EVERYTHING, EVERYTHING)


def written(path: Path, entries: list[Entry]) -> list[int]:
    """Make a file of these entries; return where each record ends, the header's first."""
    journal = Journal.create(path, HEADER)
    ends = [journal.size_bytes]
    for each in entries:
        journal.append([each])
        ends.append(journal.size_bytes)
    journal.close()
    return ends


def set_aside(path: Path) -> bytes:
    """The damaged bytes beside a journal."""
    beside = path.with_name(path.name + DAMAGED_SUFFIX)
    return beside.read_bytes() if beside.exists() else b""
