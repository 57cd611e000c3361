"""A journal: one file of events that wait for the broker, only ever appended to.

What a process has appended survives its end, whatever kind of end; a power cut may cost what was
appended since the last :meth:`Journal.sync`. Delivery is remembered as a *mark*: everything up to
a sequence is delivered. So what is sent again after a crash is a suffix, which the fold tolerates.
The format of the file is described in :mod:`.records`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from . import files, records
from .index import Index, Span
from .records import Damage, Entry, Header, Record

__all__ = ["DAMAGED_SUFFIX", "Entry", "Header", "Journal", "JournalError", "damaged_path"]

DAMAGED_SUFFIX = ".damaged"
"""With this behind its name: where the damaged bytes of a journal are set aside."""


_COPY_BYTES = 1024 * 1024
_NAME = re.compile(r"[0-9a-f]{16}-(?P<producer_id>.+)-[0-9]+\.spool")


class JournalError(Exception):
    """Raised when a journal file cannot be made, read or written; says why in a clause."""


class Journal:
    """An open journal file. Belongs to one thread; :meth:`close` it.

    Attributes:
        path: the file.
        header: what it is for.
        size_bytes: its length.
        damaged_spans: how many damaged spans were found and set aside since it was opened.
        damaged_bytes: how long these are together.
        lost_calls: calls of entries that were known and could not be read back.
    """

    def __init__(self, path: Path, descriptor: int, header: Header) -> None:
        self.path = path
        self.header = header
        self.size_bytes = 0
        self.damaged_spans = 0
        self.damaged_bytes = 0
        self.lost_calls = 0
        self._descriptor = descriptor
        self._marker = records.marker(path.name)
        self._index = Index()
        self._cut_at: int | None = None
        self._name_is_durable = False

    @classmethod
    def create(cls, path: Path, header: Header) -> Journal:
        """Make a new file that only its owner can read.

        Raises:
            JournalError: when it exists or cannot be written.
        """
        try:
            journal = cls(path, files.create(path), header)
        except OSError as error:
            raise _failure(path, error) from error
        try:
            journal._write(records.header_record(journal._marker, header))
        except JournalError:
            journal.remove()
            raise
        return journal

    @classmethod
    def open(cls, path: Path) -> Journal:
        """Open a file that a process has left behind, and go on with it.

        Damaged spans are appended to the file with :data:`DAMAGED_SUFFIX` and skipped.

        Raises:
            JournalError: when it cannot be opened or read.
        """
        try:
            journal = cls(path, files.open_to_append(path), header_of_name(path.name))
        except OSError as error:
            raise _failure(path, error) from error
        try:
            journal._load()
        except OSError as error:
            journal.close()
            raise _failure(path, error) from error
        return journal

    @property
    def waiting(self) -> int:
        """How many entries are not known to be delivered, also those read and not marked."""
        return self._index.waiting

    @property
    def waiting_calls(self) -> int:
        """How many calls these carry."""
        return self._index.waiting_calls

    @property
    def vanished(self) -> bool:
        """Whether the file has been deleted under us; what is in it can still be read."""
        try:
            return os.fstat(self._descriptor).st_nlink == 0
        except OSError:
            return True

    def append(self, entries: Sequence[Entry]) -> None:
        """Write entries, all or none.

        Raises:
            JournalError: when the disk did not take them.
            ValueError: when one has a sequence at or below the mark or one that was read since the
                last rewind, or is longer than two records may be; none is written.
        """
        if not entries:
            return
        sequences = [entry.sequence for entry in entries]
        self._index.check(sequences)
        data, sizes = records.event_records(self._marker, entries)
        start = self._write(data)
        self._index.extend(sequences, [entry.calls for entry in entries], start, sizes)

    def read(self, most_entries: int, most_bytes: int) -> list[Entry]:
        """Return the next entries, ascending by sequence; none at the end.

        Args:
            most_entries: how many at most.
            most_bytes: how long their records may be together; a first longer one comes alone.

        Raises:
            JournalError: when the file cannot be read; the same entries are next then.
        """
        entries: list[Entry] = []
        while not entries and (numbers := self._index.take(most_entries, most_bytes)):
            damaged: dict[int, Damage] = {}
            try:
                for span in self._index.spans(numbers):
                    self._read_span(span, entries, damaged)
            except OSError as error:
                self._index.put_back(numbers)
                raise _failure(self.path, error) from error
            if damaged:
                self.lost_calls += self._index.remove(damaged)
                for damage in records.joined(damaged.values()):
                    self._set_aside(damage)
        return entries

    def rewind(self) -> None:
        """Let the next read start behind the mark."""
        self._index.rewind()

    def mark(self, sequence: int) -> None:
        """Remember that everything up to ``sequence`` is delivered; never goes back.

        Raises:
            JournalError: when that could not be written; this object remembers it all the same.
        """
        if self._index.mark(sequence):
            self._write(records.mark_record(self._marker, sequence))

    def sync(self) -> None:
        """Return when all of it would survive a power cut.

        Raises:
            JournalError: when that is not certain.
        """
        try:
            files.sync(self._descriptor)
            if not self._name_is_durable:
                files.sync_directory(self.path.parent)
                self._name_is_durable = True
        except OSError as error:
            raise _failure(self.path, error) from error

    def remove(self) -> None:
        """Close and delete the file; one that cannot be deleted stays, with its marks."""
        self.close()
        with suppress(OSError):
            self.path.unlink()

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):
                os.close(descriptor)

    def _write(self, data: bytes) -> int:
        """Append ``data``, all or nothing; return where it begins."""
        try:
            if self._cut_at is not None:
                self._cut(self._cut_at)
            start = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise _failure(self.path, error) from error
        try:
            files.write(self._descriptor, data)
        except OSError as error:
            self._cut_at = start
            with suppress(OSError):
                self._cut(start)
            raise _failure(self.path, error) from error
        self.size_bytes = start + len(data)
        return start

    def _cut(self, size: int) -> None:
        os.ftruncate(self._descriptor, size)
        self.size_bytes, self._cut_at = size, None

    def _read_span(self, span: Span, entries: list[Entry], damaged: dict[int, Damage]) -> None:
        data = files.read_at(self._descriptor, span.end - span.start, span.start)
        offsets, sizes = self._index.offsets, self._index.sizes
        for number in range(span.first, span.last):
            at, size = offsets[number] - span.start, sizes[number]
            entry = records.read_event(self._marker, data[at : at + size])
            if entry is None:
                damaged[number] = Damage(offsets[number], size)
            else:
                entries.append(entry)

    def _load(self) -> None:
        """Find what is in the file, and set aside what is damaged."""
        size = self.size_bytes = os.fstat(self._descriptor).st_size
        mark, damages, asides = -1, list[Damage](), set[Damage]()
        read_at = partial(files.read_at, self._descriptor)
        for found in records.scan(read_at, self._marker, 0, size):
            if isinstance(found, Damage):
                damages.append(found)
            elif found.kind == records.EVENT:
                self._add(found)
            elif found.kind == records.MARK:
                mark = max(mark, records.sequence_of_mark(found.body))
            elif found.kind == records.ASIDE:
                asides.add(records.span_of_aside(found.body))
            else:
                self.header = records.header(found.body) or self.header
        self._index.mark(mark)
        noted = records.joined(asides)
        torn = [damage for damage in damages[-1:] if damage.offset + damage.size == size]
        for damage in damages:
            if damage not in noted:
                self._set_aside(damage, cut=damage in torn)

    def _add(self, record: Record) -> None:
        sequence, calls, _ = records.entry_head(record.body)
        self._index.extend([sequence], [calls], record.offset, [record.size])

    def _set_aside(self, damage: Damage, *, cut: bool = False) -> None:
        """Copy a damaged span to the file beside this one, and cut it off or note that it is there.

        A disk that does not take the copy does not keep the undamaged entries from being sent: the
        span stays where it is, and the next to open the file tries again.
        """
        self.damaged_spans += 1
        self.damaged_bytes += damage.size
        with suppress(OSError, JournalError):
            self._copy_aside(damage)
            if cut:
                self._cut(damage.offset)
            else:
                self._write(records.aside_record(self._marker, damage))

    def _copy_aside(self, damage: Damage) -> None:
        descriptor = files.open_to_append(damaged_path(self.path), create=True)
        try:
            for offset in range(damage.offset, damage.offset + damage.size, _COPY_BYTES):
                size = min(_COPY_BYTES, damage.offset + damage.size - offset)
                files.write(descriptor, files.read_at(self._descriptor, size, offset))
        finally:
            os.close(descriptor)


def damaged_path(path: Path) -> Path:
    """Return the file beside a journal where its damaged bytes are set aside."""
    return path.with_name(path.name + DAMAGED_SUFFIX)


def header_of_name(name: str) -> Header:
    """Return what the name of a file says, for one whose header is damaged."""
    found = _NAME.fullmatch(name)
    producer_id = found["producer_id"] if found else ""
    return Header(topic="", bootstrap_servers="", producer_id=producer_id)


def _failure(path: Path, error: OSError) -> JournalError:
    return JournalError(f"{path}: {error.strerror or type(error).__name__}")
