"""The audit: what is missing of each producer, by the numbers that it gave its events."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.answers.audit import Audit, Auditor, Finding, Moments
from sessionfold_consumer.answers.open_sessions import open_sessions
from sessionfold_consumer.observer import Progress
from sessionfold_consumer.source import MemorySource, Span
from sessionfold_consumer.store import MemoryStore
from tests.services.topics import StoredRecord
from tests.strategies import any_records, batch_of
from tests.unit.consumer.answering import folded
from tests.unit.consumer.conftest import SECOND, START, event
from tests.unit.consumer.services import PARTITIONS, Topic

Sent = tuple[int, int, str, int]
"""Partition, time in milliseconds, producer and number of an event."""

_ALL = Moments()


def records(*sent: Sent, lost: int = 0) -> list[StoredRecord]:
    """Return events as the log has them."""
    ends = dict.fromkeys(range(PARTITIONS), 0)
    made = []
    for partition, time, producer, number in sent:
        _, (key, value) = event(
            partition, f"s{partition}", 0, producer_id=producer, sequence=number, lost_before=lost
        )
        made.append(
            StoredRecord(
                partition=partition, offset=ends[partition], timestamp_ms=time, key=key, value=value
            )
        )
        ends[partition] += 1
    return made


def audited(
    taken: list[StoredRecord],
    moments: Moments = _ALL,
    *,
    settled: int | None = None,
    is_whole: bool = True,
) -> Audit:
    """Audit records, taken in two batches."""
    auditor = Auditor(moments, settled=settled, is_whole=is_whole)
    middle = len(taken) // 2
    auditor.take(batch_of(taken[:middle]))
    auditor.take(batch_of(taken[middle:]))
    return auditor.audit()


def ranges(finding: Finding) -> list[tuple[int, int]]:
    """Return a finding's gaps."""
    return [(gap.first, gap.last) for gap in finding.gaps]


def test_nothing_is_said_of_a_producer_whose_numbers_are_all_there() -> None:
    """Spread over partitions, between which there is no order."""
    found = audited(records((0, 1, "p", 1), (1, 2, "p", 0), (0, 3, "p", 3), (2, 4, "p", 2)))
    assert (found.records, found.producers, found.missing, found.findings) == (4, 1, 0, [])


def test_a_number_that_no_partition_has_is_missing() -> None:
    """Of each producer for itself, and with the range that it is in."""
    found = audited(
        records((0, 1, "p", 0), (1, 1, "q", 0), (1, 2, "p", 4), (0, 3, "p", 6), (0, 4, "q", 1))
    )
    [finding] = found.findings
    assert (finding.producer_id, finding.events) == ("p", 3)
    assert (ranges(finding), finding.missing, found.missing) == ([(1, 3), (5, 5)], 4, 4)


def test_of_a_whole_log_the_first_number_is_0() -> None:
    """Of a range that begins in the middle the first one that is seen is no gap's end."""
    taken = records((0, 1, "p", 5), (0, 2, "p", 6))
    assert audited(taken).missing == 5
    assert audited(taken, is_whole=False).findings == []


def test_what_came_twice_or_late_is_told_apart() -> None:
    """A repeat is none that is late; what is late in another partition is none either."""
    found = audited(
        records((0, 1, "p", 0), (0, 2, "p", 2), (0, 3, "p", 1), (0, 4, "p", 2), (1, 5, "p", 0))
    )
    [finding] = found.findings
    assert (finding.missing, finding.reordered, finding.repeated) == (0, 1, 2)


def test_lost_updates_are_added_up() -> None:
    """They are in no number: the producer dropped them before it counted."""
    found = audited(records((0, 1, "p", 0), (1, 2, "p", 1), lost=3))
    assert (found.lost, found.missing) == (6, 0)
    assert [finding.lost for finding in found.findings] == [6]


def test_only_events_of_the_range_are_counted() -> None:
    """What was read around it fills gaps: it arrived, though earlier or later than the rest."""
    taken = records(
        (0, 9, "p", 1), (1, 10, "p", 0), (0, 10, "p", 3), (0, 20, "p", 2), (1, 19, "p", 5), lost=1
    )
    found = audited(taken, Moments(since=10, until=20))
    [finding] = found.findings
    assert (found.records, finding.events, finding.lost) == (3, 3, 3)
    assert ranges(finding) == [(4, 4)]


def test_a_gap_is_of_the_range_in_which_it_was_noticed() -> None:
    """So audits of two ranges that follow on each other find it once."""
    taken = records((0, 5, "p", 0), (0, 15, "p", 2), (0, 25, "p", 3))
    for moments, missing in [((0, 10), 0), ((10, 20), 1), ((20, 30), 0)]:
        assert audited(taken, Moments(since=moments[0], until=moments[1])).missing == missing


def test_what_may_be_on_its_way_is_not_judged_yet() -> None:
    """But its number is told."""
    taken = records((0, 5, "p", 0), (0, 15, "p", 2), (0, 25, "p", 4))
    found = audited(taken, settled=20)
    assert (found.missing, found.undecided) == (1, 1)
    found = audited(taken, settled=10)
    assert (found.missing, found.undecided, found.findings) == (0, 2, [])


def test_records_that_are_no_events_have_no_number() -> None:
    """They are counted: what is missing may be one of them."""
    taken = records((0, 1, "p", 0), (0, 2, "p", 1), (0, 3, "p", 2))
    taken[1] = StoredRecord(partition=0, offset=1, timestamp_ms=2, key=b"s0", value=b"no event")
    found = audited(taken)
    assert (found.records, found.refused, found.missing) == (3, 1, 1)
    assert audited(taken, Moments(since=3)).refused == 0


_sent = st.lists(
    st.tuples(
        st.integers(0, PARTITIONS - 1),
        st.integers(0, 50),
        st.sampled_from(("p", "q")),
        st.integers(0, 12),
    ),
    max_size=40,
)


@given(_sent, st.booleans())
def test_it_comes_to_what_plain_sets_do(sent: list[Sent], is_whole: bool) -> None:
    """Whatever arrives where, how often, and in which order."""
    found = audited(records(*sent), is_whole=is_whole)
    findings = {finding.producer_id: finding for finding in found.findings}
    for producer in ("p", "q"):
        own = [(partition, number) for partition, _, name, number in sent if name == producer]
        numbers = {number for _, number in own}
        lowest = 0 if is_whole else min(numbers, default=0)
        missing = {*range(lowest, max(numbers, default=0))} - numbers
        seen, late = set[int](), 0
        for place, (partition, number) in enumerate(own):
            before = [n for p, n in own[:place] if p == partition]
            late += number not in seen and number < max(before, default=0)
            seen.add(number)
        expected = (len(missing), len(own) - len(numbers), late)
        if any(expected):
            finding = findings[producer]
            assert (finding.missing, finding.repeated, finding.reordered) == expected
        else:
            assert producer not in findings


@given(st.lists(any_records, max_size=20))
def test_hostile_records_do_no_harm(hostile: list[Any]) -> None:
    """Events of the largest numbers, and what is none."""
    topic = Topic()
    topic.append([(0, each) for each in hostile])
    auditor = Auditor(_ALL, is_whole=True)
    told: list[Progress] = []
    spans = {0: Span(0, len(hostile)), 1: Span(0, 0)}
    auditor.read(MemorySource(topic.log, [0]), spans, told.append)
    found = auditor.audit()
    assert found.records == len(hostile)
    assert found.refused + sum(each.events for each in found.findings) <= len(hostile)
    if hostile:
        assert told[-1].next_offsets == {0: len(hostile)}
        assert told[-1].lag == 0


def test_open_sessions_are_those_that_began_in_the_range_and_did_not_end() -> None:
    """By the workers' clocks; the bounds are in it."""
    topic = Topic()
    topic.append(
        [
            event(0, "early", 1),
            event(0, "open", 10),
            event(1, "ended", 10, is_finished=True),
            event(1, "resumed", 11, is_finished=True),
            event(1, "resumed", 12, is_finished=False),
            event(2, "late", 20),
        ]
    )
    store = folded(topic)
    assert isinstance(store, MemoryStore)
    found = open_sessions(store, START + 10 * SECOND, START + 19 * SECOND)
    assert sorted(state["session_id"] for state in found) == ["open", "resumed"]
    found = open_sessions(store, None, START + 20 * SECOND)
    assert sorted(state["session_id"] for state in found) == ["early", "late", "open", "resumed"]
