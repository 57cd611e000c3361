"""What never arrived: gaps in the numbers that each producer gives its events, and what it lost.

A producer counts its events 0, 1, 2 ... over all its sessions, so over all partitions; between
partitions there is no order. A gap is a number that no partition has. Events take a moment from
their worker to the log, and not the same moment to each partition: so a little more is read at both
ends of the range, and what is missing at its very end is not judged yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ..decode import Events, decode
from ..fields import pieces
from ..observer import Progress
from ..records import RecordBatch
from ..source import LogReader, Source, Span
from .numbers import MissingNumbers, Numbers
from .origin import PRODUCER, SEQUENCE

_LOST = "lost_before"


@dataclass(frozen=True, kw_only=True, slots=True)
class Moments:
    """From which record time to before which events are judged, in milliseconds."""

    since: int | None = None
    """None is the log's start."""
    until: int | None = None
    """None is without a bound."""

    def __contains__(self, time: int) -> bool:
        return (self.since is None or self.since <= time) and (
            self.until is None or time < self.until
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What is to be said of one producer: something is missing, or came twice or out of order."""

    producer_id: str
    events: int
    """Its events in the range, repeats included."""
    gaps: Sequence[MissingNumbers]
    repeated: int
    """Events whose number had come before; a fold counts them twice."""
    reordered: int
    """Events that lie behind one with a higher number in their partition, and are no repeats."""
    lost: int
    """Updates that it said it had to drop (``lost_before``)."""

    @property
    def missing(self) -> int:
        """How many numbers are missing."""
        return sum(gap.size for gap in self.gaps)

    @property
    def is_told(self) -> bool:
        """Whether there is anything to say of this producer."""
        return bool(self.gaps or self.repeated or self.reordered or self.lost)


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What an audit of a range of the log found."""

    records: int
    """Records in the range, refused ones included."""
    producers: int
    """Producers that have events in it."""
    refused: int
    """Records that are no valid events: whose numbers are not known, and so may be missing."""
    undecided: int
    """Numbers that are missing at the end of the range, and may still be on their way."""
    findings: Sequence[Finding]
    """Of the producers of which there is anything to say, by their IDs."""

    @property
    def missing(self) -> int:
        """How many numbers are missing."""
        return sum(each.missing for each in self.findings)

    @property
    def lost(self) -> int:
        """How many updates the producers said they had to drop."""
        return sum(each.lost for each in self.findings)


class Auditor:
    """Takes the records of a range, each partition's in log order, and says what is missing.

    Memory is proportional to producers, times the partitions of each, and gaps.

    Args:
        judged: the record times that are judged. What is taken beyond them only fills gaps.
        settled: gaps that were noticed from this record time on are not judged yet; None: all are.
        is_whole: whether the records are all there ever were: then the numbers begin with 0. Else
            the first one that is seen of a producer is no gap's end.
    """

    def __init__(self, judged: Moments, *, settled: int | None = None, is_whole: bool) -> None:
        self._judged = judged
        self._settled = Moments(since=judged.since, until=_least(judged.until, settled))
        self._is_whole = is_whole
        self._producers: dict[bytes, _Producer] = {}
        self._records = self._refused = 0

    def take(self, batch: RecordBatch) -> None:
        """Take the next records."""
        events = decode(batch)
        self._records += sum(time in self._judged for time in batch.timestamps)
        self._refused += sum(
            batch.timestamps[each.place] in self._judged for each in events.refused
        )
        for place, producer_id, number, lost in _rows(events):
            producer = self._producers.get(producer_id)
            if producer is None:
                producer = self._producers[producer_id] = _Producer()
            time = batch.timestamps[place]
            producer.take(
                batch.partitions[place], number, lost, time, is_judged=time in self._judged
            )

    def read(
        self, source: Source, spans: Mapping[int, Span], on_progress: Callable[[Progress], None]
    ) -> None:
        """Take what lies in the spans of a log, by a source that was just made for them.

        Raises:
            LogCutError: when the log loses a part of them meanwhile.
            BrokerUnreachableError: when no broker answers any more.
        """
        wanted = {partition: span for partition, span in spans.items() if span.begin < span.end}
        reached = {partition: span.begin for partition, span in wanted.items()}
        read = 0
        for batch in LogReader(source, wanted).batches():
            self.take(batch)
            read += len(batch)
            for partition, offset in zip(batch.partitions, batch.offsets, strict=True):
                reached[partition] = offset + 1
            ends = {partition: span.end for partition, span in wanted.items()}
            on_progress(Progress(records=read, dead_letters=0, next_offsets=reached, ends=ends))

    def audit(self) -> Audit:
        """Say what was found so far."""
        producers = sorted((each, found) for each, found in self._producers.items() if found.events)
        findings = [self._finding(producer_id, found) for producer_id, found in producers]
        noticed = sum(gap.size for _, found in producers for gap in self._gaps(found, self._judged))
        return Audit(
            records=self._records,
            producers=len(producers),
            refused=self._refused,
            undecided=noticed - sum(each.missing for each in findings),
            findings=[each for each in findings if each.is_told],
        )

    def _finding(self, producer_id: bytes, found: _Producer) -> Finding:
        return Finding(
            producer_id=producer_id.decode(),
            events=found.events,
            gaps=self._gaps(found, self._settled),
            repeated=found.repeated,
            reordered=found.reordered,
            lost=found.lost,
        )

    def _gaps(self, found: _Producer, moments: Moments) -> list[MissingNumbers]:
        first = 0 if self._is_whole else None
        return [gap for gap in found.seen.gaps(first) if gap.noticed in moments]


@dataclass(slots=True)
class _Producer:
    """What is known of one producer; counts are of the judged events."""

    seen: Numbers = field(default_factory=Numbers)
    highest: dict[int, int] = field(default_factory=dict)
    """For each partition the highest number so far."""
    events: int = 0
    repeated: int = 0
    reordered: int = 0
    lost: int = 0

    def take(self, partition: int, number: int, lost: int, time: int, *, is_judged: bool) -> None:
        is_new = self.seen.add(number, time)
        is_late = number < self.highest.get(partition, number)
        if not is_late:
            self.highest[partition] = number
        if is_judged:
            self.events += 1
            self.repeated += not is_new
            self.reordered += is_new and is_late
            self.lost += lost


def _rows(events: Events) -> Iterator[tuple[int, bytes, int, int]]:
    """Yield place, producer, number and lost updates of each valid event, in the batch's order."""
    if not len(events.accepted):
        return
    producers = pieces(events.joined, events.column(PRODUCER))
    numbers, lost = (events.column(name).values.tolist() for name in (SEQUENCE, _LOST))
    yield from zip(events.accepted.tolist(), producers, numbers, lost, strict=True)


def _least(one: int | None, other: int | None) -> int | None:
    given = [each for each in (one, other) if each is not None]
    return min(given) if given else None
