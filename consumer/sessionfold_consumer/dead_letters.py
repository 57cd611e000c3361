"""From a refused record to the dead letter that the store keeps of it, and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from .columnar import Columnar, columns_of
from .decode import Refused, decode
from .fold import fold
from .records import RecordBatch
from .state import Rows
from .store import FATAL_REASON, DeadLetter

_PORTION_LETTERS = 10_000
_PORTION_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Retry:
    """What dead letters have become when they are decoded and folded again."""

    accepted: Sequence[DeadLetter]
    """Those that are valid events for this program."""
    rows: Rows
    """The fold of the accepted ones, each at its own partition and offset."""
    refused: Sequence[DeadLetter]
    """Those that are not, with the reason that this program gives."""


def retry(letters: Iterable[DeadLetter]) -> Retry:
    """Decode and fold dead letters with this program, in whatever order they come."""
    in_order = sorted(letters, key=lambda letter: (letter.partition, letter.offset))
    events = decode(_batch(in_order))
    refused = {each.place: each for each in events.refused}
    return Retry(
        accepted=[each for place, each in enumerate(in_order) if place not in refused],
        rows=fold(events),
        refused=[
            in_order[place]._replace(reason=each.reason, detail=each.detail)
            for place, each in refused.items()
        ],
    )


def portions(letters: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Cut dead letters into lists that fit into memory and one transaction."""
    portion: list[DeadLetter] = []
    size = 0
    for letter in letters:
        portion.append(letter)
        size += len(letter.value or b"")
        if len(portion) == _PORTION_LETTERS or size >= _PORTION_BYTES:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion


def dead_letters(batch: RecordBatch, refused: Sequence[Refused]) -> Sequence[DeadLetter]:
    """Return the dead letters of refused records: all that Kafka had of each, and the reason."""
    if not refused:
        return ()
    places, reasons, details = columns_of(refused)
    at = [*places]
    columns = (
        batch.partition_column[at].tolist(),
        batch.offset_column[at].tolist(),
        [*map(batch.timestamps.__getitem__, places)],
        [*map(batch.keys.__getitem__, places)],
        [*map(batch.values.__getitem__, places)],
        [*map(tuple, map(batch.headers, places))],
        reasons,
        details,
        ["open"] * len(at),
    )
    return Columnar(DeadLetter._make, columns)


def fatal_letter(batch: RecordBatch, place: int) -> DeadLetter:
    """Return the dead letter of a record that is not decoded, since that ended processes."""
    detail = "processes ended, again and again, while they folded this record; it was not decoded"
    return dead_letters(batch, [Refused(place, FATAL_REASON, detail)])[0]


def _batch(letters: Sequence[DeadLetter]) -> RecordBatch:
    return RecordBatch(
        partitions=[letter.partition for letter in letters],
        offsets=[letter.offset for letter in letters],
        timestamps=[letter.timestamp for letter in letters],
        keys=[letter.key for letter in letters],
        values=[letter.value for letter in letters],
    )
