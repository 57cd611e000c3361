"""Every kind of damage to a store is named, by a verifier that knew it before and by a new one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sessionfold_consumer.state import State
from sessionfold_consumer.store import FATAL_REASON, DeadLetter, Gap, Position
from sessionfold_consumer.verify import Difference, Report, Verifier
from sessionfold_consumer.verify.reference import columns
from tests.unit.consumer.conftest import START, event
from tests.unit.consumer.services import PARTITIONS, Topic, new_store
from tests.unit.consumer.verifying import (
    advance,
    assert_is_clean,
    checked,
    found,
    new_verifier,
    resolve,
)

_FULL: dict[str, Any] = {
    "session_name": "name",
    "task": "",
    "session_eval": 0.0,
    "session_eval_reason": "r",
    "is_successful": True,
    "is_successful_reason": "",
    "is_finished": False,
    "started_at": START,
    "ended_at": 1,
}
BAD, RETRIED, DROPPED = (0, 2), (1, 1), (2, 1)
"""A dead letter that is no event; two that were set aside undecoded, and what became of them."""


class Damaged:
    """A right store over a log, and a verifier that has found it clean; to be damaged."""

    def __init__(self) -> None:
        self.topic, self.store = Topic(), new_store()
        self.verifier: Verifier = new_verifier(self.topic)
        self.topic.append(
            [
                event(0, "a", 1, **_FULL),
                event(0, "b", 2, lost_before=3, task="x"),
                (0, (b"a", b"no event, and longer than what is shown as it is")),
                event(0, "a", 3, session_eval=1.0, lost_before=1),
                event(1, "a", 4, task="elsewhere"),
                event(1, "c", 5, is_successful=False, session_eval=-0.0),
                event(2, "d", 6),
                event(2, "d", 7, **_FULL),
                event(2, "d", 8, task="y"),
            ]
        )
        self.topic.log.append(0, b"b", b"bad", [("h", b"1"), ("null", None)])
        for partition in range(PARTITIONS):
            advance(self.store, self.topic, partition, records=1)
            advance(self.store, self.topic, partition, fatal={partition} & {1, 2})
        letters = {(each.partition, each.offset): each for each in self.store.dead_letters()}
        assert resolve(self.store, letters[RETRIED], "retried")
        assert resolve(self.store, letters[DROPPED], "dropped")
        assert_is_clean(self.verifier.check(self.store))

    def check(self) -> Report:
        """Check the store by both verifiers, which must come to the same."""
        report = self.verifier.check(self.store)
        assert found(report) == found(checked(self.topic, self.store))
        return report

    def differences(self) -> list[Difference]:
        """Return what is found."""
        report = self.check()
        assert report.difference_count == len(report.differences)
        return list(report.differences)

    def letter(self, place: tuple[int, int], **changes: Any) -> None:  # noqa: ANN401
        """Change a dead letter."""
        self.store.tables.dead_letters[place] = self.store.tables.dead_letters[place]._replace(
            **changes
        )

    def position(self, partition: int, **changes: Any) -> None:  # noqa: ANN401
        """Change a position."""
        self.store.tables.positions[partition] = replace(
            self.store.tables.positions[partition], **changes
        )


@pytest.fixture
def damaged() -> Damaged:
    """A right store; the test damages it."""
    return Damaged()


def others(value: Any) -> list[Any]:  # noqa: ANN401 - a state value
    """Return values that a damaged column could have instead; the nearest ones, too."""
    match value:
        case None:
            return [0, "", False, 0.0]
        case bool():
            return [not value, int(value), None]
        case int():
            return [value + 1, value - 1, float(value), str(value)]
        case float():
            return [-value, value + 1e-9, None, int(value)] if value == 0 else [value + 1, None]
        case _:
            return [f"{value} ", f"{value}\0", None]


@pytest.mark.parametrize("column", columns()[2:])
def test_a_changed_column_is_named(damaged: Damaged, column: str) -> None:
    """Of each session, each other value: the session, the field, and both values."""
    for key, state in damaged.store.tables.states.items():
        right = state[column]
        for wrong in others(right):
            damaged.store.tables.states[key] = {**state, column: wrong}
            [difference] = damaged.differences()
            assert difference == Difference(
                kind="state",
                session_id=key[0],
                partition=key[1],
                field=column,
                stored=wrong,
                expected=right,
            )
            assert repr(difference.stored) == repr(wrong)
        damaged.store.tables.states[key] = state
    assert_is_clean(damaged.check())


def test_a_missing_row_is_named(damaged: Damaged) -> None:
    """With the number of events that the log has of it."""
    del damaged.store.tables.states["a", 0]
    [difference] = damaged.differences()
    assert (difference.session_id, difference.partition, difference.field) == ("a", 0, None)
    assert (difference.stored, difference.expected) == ("nothing", "a state of 2 events")


@pytest.mark.parametrize("key", [("zz", 0), ("a", 2), ("a", 7), ("", 0), ("A", 0)])
def test_a_row_too_many_is_named(damaged: Damaged, key: tuple[str, int]) -> None:
    """Also of a session that is in another partition, or of a partition that is none."""
    state: State = damaged.store.tables.states["a", 0]
    damaged.store.tables.states[key] = {**state, "session_id": key[0], "partition": key[1]}
    [difference] = damaged.differences()
    assert (difference.session_id, difference.partition, difference.field) == (*key, None)
    assert (difference.stored, difference.expected) == ("a state of 2 events", "nothing")


@pytest.mark.parametrize(("partition", "step"), [(0, -1), (0, -2), (1, -1), (2, -1), (2, -3)])
def test_a_position_that_is_too_low_is_found(damaged: Damaged, partition: int, step: int) -> None:
    """What lies behind it is in the store too much: states or dead letters."""
    next_offset = damaged.topic.ends()[partition] + step
    damaged.position(partition, next_offset=next_offset)
    report = damaged.check()
    assert {each.partition for each in report.differences} == {partition}
    assert [note.kind for note in report.notes if note.kind == "went_back"] == ["went_back"]


def test_a_position_that_is_too_high_is_found(damaged: Damaged) -> None:
    """What lies before it is missing in the store."""
    damaged.topic.append([event(1, "e", 9), event(2, "e", 9)])
    damaged.position(1, next_offset=damaged.topic.ends()[1])
    [difference] = damaged.differences()
    assert (difference.session_id, difference.expected) == ("e", "a state of 1 event")


def test_a_position_behind_the_logs_end_is_named(damaged: Damaged) -> None:
    """As after the loss of acknowledged records."""
    damaged.position(1, next_offset=9)
    [difference] = damaged.differences()
    assert (difference.kind, difference.partition) == ("position", 1)
    assert difference.stored == "the position 9"
    assert difference.expected == "no record from 2 on, where it ends"


def test_positions_too_few_and_too_many_are_named(damaged: Damaged) -> None:
    """The topic says which partitions there are; what is of others is no part of the fold."""
    del damaged.store.tables.positions[1]
    damaged.store.tables.positions[3] = Position(partition=3, next_offset=5, owner_epoch=0)
    found = damaged.differences()
    assert [
        (each.partition, each.stored, each.expected) for each in found if each.kind == "position"
    ] == [(1, "nothing", "a position"), (3, "a position", "no such partition")]
    assert {each.partition for each in found if each.kind != "position"} == {1}


def test_a_fold_that_says_it_began_later_is_found(damaged: Damaged) -> None:
    """What lies before is in the store too much."""
    damaged.position(2, first_offset=1)
    assert {(each.session_id, each.partition) for each in damaged.differences()} == {("d", 2)}
    damaged.position(2, first_offset=10)
    kinds = [each.kind for each in damaged.differences()]
    assert kinds[0] == "position"
    assert {"state", "dead_letter"} <= {*kinds}


@pytest.mark.parametrize("place", [(0, 2), (0, 4)])
def test_a_missing_dead_letter_is_named(damaged: Damaged, place: tuple[int, int]) -> None:
    """A record that the reference refuses must be listed."""
    del damaged.store.tables.dead_letters[place]
    [difference] = damaged.differences()
    assert (difference.kind, difference.partition, difference.offset) == ("dead_letter", *place)
    assert (difference.stored, difference.expected) == (
        "nothing",
        "a dead letter (not_single_object)",
    )


def test_a_missing_tombstone_is_found(damaged: Damaged) -> None:
    """Without it the event that was dropped belongs into the state."""
    del damaged.store.tables.dead_letters[DROPPED]
    assert {(each.session_id, each.partition) for each in damaged.differences()} == {("d", 2)}


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("timestamp", 77, 77),
        ("key", None, "null"),
        ("key", b"bb", "6262"),
        ("value", None, "null"),
        ("value", b"", ""),
        ("headers", (), "[]"),
        ("headers", (("h", b"1"), ("null", b"")), '[["h", "31"], ["null", ""]]'),
        ("headers", (("null", None), ("h", b"1")), '[["null", "null"], ["h", "31"]]'),
        ("reason", "malformed", "malformed"),
        ("status", "retried", "retried"),
    ],
)
def test_a_changed_dead_letter_is_named(
    damaged: Damaged, field: str, value: object, shown: object
) -> None:
    """Byte for byte what the log has."""
    damaged.letter((0, 4), **{field: value})
    [difference] = damaged.differences()
    assert (difference.kind, difference.partition, difference.offset) == ("dead_letter", 0, 4)
    assert (difference.field, difference.stored) == (field, shown)


def test_one_changed_byte_of_a_long_value_is_found(damaged: Damaged) -> None:
    """It is compared by its digest."""
    value = damaged.store.tables.dead_letters[BAD].value or b""
    damaged.letter(BAD, value=value[:-1] + b"x")
    [difference] = damaged.differences()
    assert difference.field == "value"
    assert str(difference.stored).startswith(f"{len(value)} bytes, SHA-256 ")


@pytest.mark.parametrize("place", [(0, 99), (7, 0), (0, 5)])
def test_a_dead_letter_of_no_record_is_named(damaged: Damaged, place: tuple[int, int]) -> None:
    """Behind the position, or in no partition."""
    letter = damaged.store.tables.dead_letters[BAD]._replace(partition=place[0], offset=place[1])
    damaged.store.tables.dead_letters[place] = letter
    [difference] = damaged.differences()
    assert (difference.partition, difference.offset, difference.field) == (*place, None)
    assert difference.stored == "a dead letter (not_single_object, open)"
    assert difference.expected == "no record before the position"


def test_a_valid_event_that_is_listed_is_named(damaged: Damaged) -> None:
    """Even when the state is without it: its neighbour may have spoiled it."""
    record = next(r for r in damaged.topic.records if (r.partition, r.offset) == (0, 1))
    damaged.store.tables.dead_letters[0, 1] = DeadLetter(
        partition=0,
        offset=1,
        timestamp=1,
        key=record.key,
        value=record.value,
        headers=(),
        reason="malformed",
        detail="",
    )
    del damaged.store.tables.states["b", 0]
    [difference] = damaged.differences()
    assert (difference.partition, difference.offset) == (0, 1)
    assert (difference.stored, difference.expected) == (
        "a dead letter (malformed, open)",
        "a valid event",
    )


@pytest.mark.parametrize(
    ("place", "status"), [(RETRIED, "open"), (RETRIED, "dropped"), (DROPPED, "retried")]
)
def test_another_fate_of_a_dead_letter_is_found(
    damaged: Damaged, place: tuple[int, int], status: str
) -> None:
    """Whether it is in the state has to be as its status says."""
    damaged.letter(place, status=status)
    assert {each.partition for each in damaged.differences()} == {place[0]}


def test_a_retried_event_with_other_bytes_is_named(damaged: Damaged) -> None:
    """The record is the log's; what the store keeps of it has to be the same."""
    damaged.letter(RETRIED, key=b"other")
    assert [(d.offset, d.field) for d in damaged.differences()] == [(RETRIED[1], "key")]


def test_a_late_retry_with_other_bytes_is_found() -> None:
    """Also by who has to take the event's bytes from the store, since the log's are read."""
    topic, store = Topic(), new_store()
    topic.append([event(0, "a", 1, task="right")])
    advance(store, topic, 0, fatal={0})
    verifier = new_verifier(topic)
    assert_is_clean(verifier.check(store))
    [letter] = store.dead_letters()
    assert letter.reason == FATAL_REASON
    _, (key, value) = event(0, "a", 1, task="wrong")
    resolve(store, letter._replace(key=key, value=value), "retried")
    store.tables.dead_letters[0, 0] = store.tables.dead_letters[0, 0]._replace(key=key, value=value)
    report = verifier.check(store)
    assert [(d.kind, d.field) for d in report.differences] == [
        ("state", None),
        ("dead_letter", "value"),
    ]


def test_differences_are_counted_beyond_those_that_are_listed(damaged: Damaged) -> None:
    """The list is cut, the number is exact."""
    damaged.store.tables.states.clear()
    report = new_verifier(damaged.topic, max_differences=2).check(damaged.store)
    assert (len(report.differences), report.difference_count) == (2, 5)
    assert not report.is_clean


def test_a_gap_of_records_that_are_there_is_named(damaged: Damaged) -> None:
    """They were passed over as if they had been deleted; and the state has them all the same."""
    damaged.store.tables.gaps.append(Gap(partition=2, first=2, end=3))
    first, *rest = damaged.differences()
    assert (first.kind, first.partition, first.offset) == ("gap", 2, 2)
    assert {(each.session_id, each.partition) for each in rest} == {("d", 2)}


@pytest.mark.parametrize("table", ["states", "dead_letters", "positions"])
def test_a_table_that_is_all_gone_is_found(damaged: Damaged, table: str) -> None:
    """It is not taken for a store that nothing was folded into."""
    getattr(damaged.store.tables, table).clear()
    assert damaged.differences()


def test_a_store_that_forgot_its_topic_is_found(damaged: Damaged) -> None:
    """Everything in it is too much."""
    damaged.store.shelf.info = replace(damaged.store.info(), identity=None)
    assert {each.kind for each in damaged.differences()} == {"position", "state", "dead_letter"}
