"""The verifier: what a right service leaves is clean, at every moment, in one check or in many."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.observer import Progress
from sessionfold_consumer.source import MemorySource
from sessionfold_consumer.store import MemoryStore, TopicIdentity
from sessionfold_consumer.verify import LogStartMissingError, Verifier
from sessionfold_consumer.verify.reference import ReferenceFold, columns, judge
from tests import oracle
from tests.services.topics import StoredRecord
from tests.strategies import any_records, few_session_ids, good_records, mixed_logs
from tests.unit.consumer.conftest import event
from tests.unit.consumer.services import PARTITIONS, Item, Topic, new_service, new_store
from tests.unit.consumer.verifying import (
    advance,
    assert_is_clean,
    checked,
    found,
    new_verifier,
    resolve,
)

_partitions = st.integers(0, PARTITIONS - 1)
_records = st.one_of(good_records(few_session_ids), any_records, st.none())
_items = st.lists(st.tuples(_partitions, _records), max_size=8)

_actions = st.one_of(
    st.tuples(st.just("append"), _items),
    st.tuples(st.sampled_from(("fold", "set aside")), _partitions),
    st.tuples(st.sampled_from(("retry", "drop")), st.integers(0, 100)),
    st.tuples(st.just("skip deleted"), _partitions),
)


@given(st.lists(_items, max_size=6), st.integers(1, 5))
def test_what_a_service_leaves_is_clean_after_every_step(
    appended: list[list[Item]], batch_records: int
) -> None:
    """Valid events and all that is none, marks, and many small transactions."""
    topic, store = Topic(), new_store()
    verifier = new_verifier(topic)
    service = new_service(MemorySource(topic.log), store, batch_records=batch_records)
    for each in [*appended, [], [], []]:
        topic.append(each)
        service.step()
        report = verifier.check(store)
        assert_is_clean(report)
        assert report.notes == []
        assert report.positions == service.progress().next_offsets
        assert report.dead_letters == len(list(store.dead_letters()))
        assert report.sessions == len(list(store.states()))


@given(st.lists(_actions, max_size=30))
def test_many_checks_come_to_what_one_does(actions: list[tuple[str, Any]]) -> None:
    """Whatever becomes of dead letters meanwhile: set aside undecoded, retried late, dropped."""
    topic, store = Topic(), new_store()
    verifier = new_verifier(topic)
    for action, subject in [*actions, ("append", [])]:
        act(topic, store, action, subject)
        report = verifier.check(store)
        assert_is_clean(report)
        assert found(report) == found(checked(topic, store))
        assert not {note.kind for note in report.notes} & {"went_back", "anew"}


def act(topic: Topic, store: MemoryStore, action: str, subject: Any) -> None:  # noqa: ANN401
    """Do one generated action."""
    letters = [letter for letter in store.dead_letters() if letter.status == "open"]
    match action:
        case "append":
            topic.append(subject)
        case "fold":
            advance(store, topic, subject, records=3)
        case "set aside":
            advance(store, topic, subject, records=3, fatal={subject})
        case "skip deleted":
            position = store.positions()[subject]
            low = position.next_offset + 1
            # A gap in front of everything: what was folded before it would be gone, too.
            if position.next_offset == 0 and low <= topic.ends()[subject]:
                topic.log.truncate(subject, low)
                store.accept_gap(position, low)
        case _ if letters:
            letter = letters[subject % len(letters)]
            resolve(store, letter, "retried" if action == "retry" else "dropped")


@given(mixed_logs)
def test_the_fold_is_that_of_the_tests_own_reference(log: list[StoredRecord]) -> None:
    """Both are plain and neither has seen the other; events may come in any order."""
    expected = oracle.fold(log)
    folded = ReferenceFold()
    for record in reversed(log):
        reason, given_fields = judge(record.key, record.value)
        assert reason == expected.refused.get((record.partition, record.offset))
        if reason is None:
            folded.add(record.partition, record.offset, given_fields)
    states = {key: dict(zip(columns(), values, strict=True)) for key, values in folded.states()}
    assert states == expected.states


def test_a_report_says_how_much_was_compared() -> None:
    """Records of the prefix and of this check, sessions, dead letters, and how fast."""
    topic, store = Topic(), new_store()
    verifier = new_verifier(topic)
    topic.append([event(0, "a", 1), event(1, "a", 2), (2, (b"a", b"x")), event(2, "b", 3)])
    for partition in range(PARTITIONS):
        advance(store, topic, partition)
    report = verifier.check(store)
    assert (report.records, report.records_read, report.sessions, report.dead_letters) == (
        4,
        4,
        3,
        1,
    )
    assert report.positions == {0: 1, 1: 1, 2: 2}
    assert report.records_per_second == pytest.approx(4 / report.seconds)
    report = verifier.check(store)
    assert (report.records, report.records_read, report.sessions) == (4, 0, 3)


def test_a_store_that_no_service_has_run_on_is_clean() -> None:
    """It is the fold of nothing; a note says so."""
    report = checked(Topic(), MemoryStore())
    assert_is_clean(report)
    assert [note.kind for note in report.notes] == ["unbound"]


def test_records_that_come_while_it_checks_are_left() -> None:
    """The fold ends exactly at the positions of the store's moment."""
    topic, store = Topic(), new_store()
    topic.append([event(0, "a", second, task=f"{second}") for second in range(5)])
    advance(store, topic, 0, records=3)
    verifier = new_verifier(topic)
    report = verifier.check(store)
    assert_is_clean(report)
    assert report.records == 3
    advance(store, topic, 0)
    assert verifier.check(store).records == 5


def test_progress_is_told() -> None:
    """How many records were read, and how many there are to read."""
    topic, store = Topic(), new_store()
    topic.append([event(0, "a", second) for second in range(5)])
    advance(store, topic, 0)
    told: list[Progress] = []
    new_verifier(topic, on_progress=told.append).check(store)
    assert [(each.records, each.lag) for each in told] == [(5, 0)]


class ClosingSource(MemorySource):
    """Says that it was closed."""

    closed = 0

    def close(self) -> None:
        """Count."""
        ClosingSource.closed += 1


def test_the_source_is_closed() -> None:
    """Each check opens one, and leaves none open."""
    topic, store = Topic(), new_store()
    verifier = Verifier(lambda partitions: ClosingSource(topic.log, partitions), settle_seconds=0)
    verifier.check(store)
    verifier.check(store)
    assert ClosingSource.closed == 2


def test_a_log_that_lost_its_start_cannot_be_compared() -> None:
    """It says from where to where the log is missing, and not that the store is wrong."""
    topic, store = Topic(), new_store()
    topic.append([event(1, "a", second) for second in range(5)])
    advance(store, topic, 1)
    verifier = new_verifier(topic)
    assert_is_clean(verifier.check(store))
    topic.log.truncate(1, 3)
    with pytest.raises(LogStartMissingError, match="offsets 0 to 2 of partition 1 were folded"):
        checked(topic, store)
    # Who has folded them already needs them no longer.
    assert_is_clean(verifier.check(store))


def test_a_fold_that_began_behind_the_logs_start_is_compared_from_there() -> None:
    """The store says where it began: what was deleted before is no part of it."""
    topic, store = Topic(), MemoryStore()
    topic.append([event(0, "a", second) for second in range(5)])
    topic.log.truncate(0, 2)
    identity = TopicIdentity(topic="t", topic_id="id", partition_count=PARTITIONS)
    store.bind(identity, {0: 2, 1: 0, 2: 0})
    advance(store, topic, 0)
    report = checked(topic, store)
    assert_is_clean(report)
    assert report.records == 3


def test_a_gap_is_a_note_and_nothing_may_be_missing_beside_it() -> None:
    """What was deleted and accepted is said; what was deleted before it cannot be compared."""
    topic, store = Topic(), new_store()
    topic.append([event(0, "a", second) for second in range(6)])
    advance(store, topic, 0, records=2)
    verifier = new_verifier(topic)
    assert_is_clean(verifier.check(store))
    topic.log.truncate(0, 4)
    store.accept_gap(store.positions()[0], 4)
    advance(store, topic, 0)
    report = verifier.check(store)
    assert_is_clean(report)
    assert [note.kind for note in report.notes] == ["gap"]
    assert "offsets 2 to 3 of partition 0 were deleted" in report.notes[0].text
    with pytest.raises(LogStartMissingError, match="offsets 0 to 1 of partition 0"):
        checked(topic, store)


def test_a_record_that_was_passed_over_and_is_still_there_is_a_difference() -> None:
    """A gap is for what the log no longer has."""
    topic, store = Topic(), new_store()
    topic.append([event(0, "a", second) for second in range(4)])
    store.accept_gap(store.positions()[0], 2)
    advance(store, topic, 0)
    verifier = new_verifier(topic)
    for _ in range(2):
        report = verifier.check(store)
        places = [(each.kind, each.partition, each.offset) for each in report.differences]
        assert places == [("gap", 0, 0), ("gap", 0, 1)]


def test_a_position_that_went_back_is_told_and_compared_all_the_same() -> None:
    """A power failure may take back the end of a store; then the fold is begun again."""
    topic, store = Topic(), new_store()
    topic.append([event(0, "a", second) for second in range(4)])
    advance(store, topic, 0, records=2)
    earlier = dict(store.tables.positions), dict(store.tables.states)
    advance(store, topic, 0)
    verifier = new_verifier(topic)
    assert_is_clean(verifier.check(store))
    store.tables.positions, store.tables.states = earlier
    report = verifier.check(store)
    assert_is_clean(report)
    assert report.records == report.records_read == 2
    [note] = report.notes
    assert (note.kind, "went back from 4 to 2" in note.text) == ("went_back", True)
    advance(store, topic, 0)
    report = verifier.check(store)
    assert_is_clean(report)
    assert report.notes == []


def test_what_is_retried_while_a_position_went_back_is_folded_once() -> None:
    """The fold that is begun again finds it retried already, in its place."""
    topic, store = Topic(), new_store()
    topic.append([event(0, "a", second, lost_before=1) for second in range(3)])
    advance(store, topic, 0, records=1, fatal={0})
    earlier = dict(store.tables.positions), dict(store.tables.states)
    advance(store, topic, 0)
    verifier = new_verifier(topic)
    assert_is_clean(verifier.check(store))
    store.tables.positions, store.tables.states = earlier
    [letter] = store.dead_letters()
    resolve(store, letter, "retried")
    report = verifier.check(store)
    assert_is_clean(report)
    assert [note.kind for note in report.notes] == ["went_back"]


def test_marks_behind_the_last_record_are_read_once() -> None:
    """They may be deleted from the log, too, once they were seen."""
    topic, store = Topic(), new_store()
    topic.append([event(0, "a", 1), (0, None), (0, None)])
    advance(store, topic, 0)
    verifier = new_verifier(topic)
    assert_is_clean(verifier.check(store))
    topic.log.truncate(0, 3)
    assert_is_clean(verifier.check(store))


def test_dead_letters_that_are_valid_events_by_now_are_notes() -> None:
    """Those that were never decoded, and those that a person gave up."""
    topic, store = Topic(), new_store()
    topic.append([event(0, "a", 1), event(1, "a", 2), event(2, "a", 3)])
    for partition in range(PARTITIONS):
        advance(store, topic, partition, fatal={partition})
    first, second, _ = store.dead_letters()
    resolve(store, first, "dropped")
    resolve(store, second, "retried")
    report = checked(topic, store)
    assert_is_clean(report)
    assert [note.kind for note in report.notes] == ["retriable", "dropped"]
    assert report.notes[0].text.endswith("may be retried: 1, the first at 2:0")
