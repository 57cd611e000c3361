"""One session's records: where the store says they lie, and what the log still has of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self

from ..observer import Progress
from ..records import RecordBatch
from ..source import SETTLE_SECONDS, LogReader, SourceFactory, Span, reaching
from ..state import State
from ..store import DeadLetter, SessionStore


class Record(NamedTuple):
    """One record; ``timestamp`` is Kafka's, in milliseconds since the epoch."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


def records_of(batch: RecordBatch, key: bytes | None) -> Iterator[Record]:
    """Yield the records of a batch that have a key, or all of them for None."""
    for i, each in enumerate(batch.keys):
        if key is None or each == key:
            yield Record(
                batch.partitions[i], batch.offsets[i], batch.timestamps[i], each, batch.values[i]
            )


class Missing(NamedTuple):
    """Offsets that a session's events may lie at, and that the log does not have.

    From offset ``first`` to before ``end``: deleted, or lost with the log's end.
    """

    partition: int
    first: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredSession:
    """What a store has of one session, at one moment."""

    session_id: str
    states: list[State]
    """One for each partition that it has events in (normally one), by partition."""
    letters: list[DeadLetter]
    """Its dead letters, whatever became of them, by place; they may lie beyond its states."""

    @property
    def partitions(self) -> list[int]:
        """The partitions that anything of it lies in."""
        return sorted(
            {*(s["partition"] for s in self.states), *(x.partition for x in self.letters)}
        )


def read_session(store: SessionStore, session_id: str) -> StoredSession:
    """Read what a store has of a session; others may write to it meanwhile."""
    with store.snapshot():
        return StoredSession(
            session_id=session_id,
            states=sorted(store.get(session_id), key=lambda state: int(state["partition"])),
            letters=[each for each in store.dead_letters() if each.session_id == session_id],
        )


class SessionLog:
    """The records of a session, from the first to the last offset that its states name.

    A context manager, which asks for the log's ends when it is made: ``missing`` says what the log
    no longer has of these spans. Belongs to one thread.

    Args:
        open_source: makes the source to read from.
        stored: the session; its dead letters are handed over in their places, wherever they lie.
        on_progress: called after each batch of records.
        settle_seconds: how long to wait for a log that ends before the session does.
    """

    def __init__(
        self,
        open_source: SourceFactory,
        stored: StoredSession,
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self._stored = stored
        self._on_progress = on_progress
        self._key = stored.session_id.encode(errors="surrogateescape")
        self._records = 0
        self.missing: list[Missing] = []
        self._source = open_source([state["partition"] for state in stored.states])
        try:
            self._spans = self._there(settle_seconds)
        except BaseException:
            self._source.close()
            raise

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Disconnect."""
        self._source.close()

    def records(self) -> Iterator[tuple[Record, DeadLetter | None]]:
        """Yield each record, with its dead letter if it is one; by partition, then in log order.

        Raises:
            LogCutError: when the log loses a part of the records while they are read.
            BrokerUnreachableError: when no broker answers any more.
        """
        for partition in self._stored.partitions:
            letters = deque(each for each in self._stored.letters if each.partition == partition)
            for record in self._read(partition):
                while letters and letters[0].offset < record.offset:
                    yield _of_letter(letters.popleft())
                is_letter = letters and letters[0].offset == record.offset
                yield record, letters.popleft() if is_letter else None
            yield from map(_of_letter, letters)

    def _there(self, settle_seconds: float) -> dict[int, Span]:
        """Return what there is to read of each partition, and note what there is not."""
        spans = {}
        for state in self._stored.states:
            partition, first, end = (
                state["partition"], state["first_offset"], state["last_offset"] + 1
            )  # fmt: skip
            marks = reaching(self._source, partition, end, settle_seconds)
            if marks.low > first:
                self.missing.append(Missing(partition, first, min(marks.low, end)))
            if marks.high < end:
                self.missing.append(Missing(partition, max(marks.high, first), end))
            spans[partition] = Span(max(first, marks.low), min(end, marks.high))
        return spans

    def _read(self, partition: int) -> Iterator[Record]:
        """Yield the session's records of one partition, each compared by its key alone."""
        span = self._spans.get(partition)
        if span is None or span.begin >= span.end:
            return
        reader = LogReader(self._source, {partition: span})
        for batch in reader.batches():
            yield from records_of(batch, self._key)
            self._tell(len(batch), partition, batch.offsets[-1] + 1)

    def _tell(self, records: int, partition: int, next_offset: int) -> None:
        self._records += records
        end = self._spans[partition].end
        self._on_progress(
            Progress(
                records=self._records,
                dead_letters=0,
                next_offsets={partition: next_offset},
                ends={partition: end},
            )
        )


def _of_letter(letter: DeadLetter) -> tuple[Record, DeadLetter]:
    """Return a dead letter's record as the store keeps it: the log was not asked for it."""
    record = Record(letter.partition, letter.offset, letter.timestamp, letter.key, letter.value)
    return record, letter
