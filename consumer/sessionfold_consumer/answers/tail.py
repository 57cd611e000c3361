"""Records as they arrive, each decoded by the strict reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sessionfold_schemas import InvalidRecordError, decode

from ..errors import LogCutError, LogTruncatedError
from ..source import Source
from ..verify.reference import Event
from .session import Record, records_of

_BATCH_RECORDS = 1_000
_FETCH_SECONDS = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """A record that arrived: an event, or why it is none."""

    record: Record
    event: Event
    """All fields of the event, None where it gives none; empty when it is refused."""
    reason: str | None = None
    """The class of the reason why it is refused; None when it is an event."""
    detail: str | None = None
    """The same in words."""


def heard(
    source: Source,
    next_offsets: Mapping[int, int],
    *,
    key: bytes | None = None,
    is_stopped: Callable[[], bool],
) -> Iterator[Heard]:
    """Yield records as they arrive; each partition's in log order.

    Args:
        source: a source that was just made for the partitions; nothing is committed.
        next_offsets: for each partition where to begin.
        key: only records with this key; others are not decoded.
        is_stopped: asked between batches, several times a second; ends it.

    Raises:
        LogCutError: when the log lost the records that were to come next.
        BrokerUnreachableError: when the client failed.
    """
    source.changes()
    source.start(next_offsets)
    while not is_stopped():
        try:
            batch = source.fetch(_BATCH_RECORDS, _FETCH_SECONDS, lambda: True).batch
        except LogTruncatedError as error:
            raise LogCutError from error
        yield from map(_heard, records_of(batch, key))


def _heard(record: Record) -> Heard:
    try:
        return Heard(record=record, event=decode(record.value, key=record.key)[1])
    except InvalidRecordError as error:
        return Heard(record=record, event={}, reason=error.reason, detail=error.detail)
