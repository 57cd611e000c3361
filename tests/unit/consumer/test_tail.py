"""Records as they arrive: decoded, filtered by key, and refused with a reason."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.answers import Heard, heard
from sessionfold_consumer.source import MemorySource
from tests import oracle
from tests.unit.consumer.conftest import event
from tests.unit.consumer.services import PARTITIONS, Item, Topic, items


def times(asked: int, then: Callable[[], None] = lambda: None) -> Callable[[], bool]:
    """Return what says after so many questions that it is time to stop; acts at each of them."""
    left = asked

    def is_stopped() -> bool:
        nonlocal left
        left -= 1
        then()
        return left < 0

    return is_stopped


def everything(topic: Topic, key: bytes | None = None) -> list[Heard]:
    """Return what is there by now."""
    source = MemorySource(topic.log)
    starts = dict.fromkeys(range(PARTITIONS), 0)
    return list(heard(source, starts, key=key, is_stopped=times(2)))


@given(st.lists(items, max_size=30))
def test_every_record_is_heard_once_in_log_order(appended: list[Item]) -> None:
    """Events with all that they give; others with the reason that the reference has."""
    topic = Topic()
    topic.append(appended)
    refused = oracle.fold(topic.records).refused
    arrived = everything(topic)
    ordered = sorted(topic.records, key=lambda record: (record.partition, record.offset))
    assert [each.record.value for each in arrived] == [record.value for record in ordered]
    for each in arrived:
        place = each.record.partition, each.record.offset
        assert each.reason == refused.get(place)
        assert bool(each.event) == (each.reason is None) == (each.detail is None)


def test_one_sessions_records_are_those_of_its_key() -> None:
    """Refused ones, too: they are set aside as the session's."""
    topic = Topic()
    topic.append([event(0, "a", 1), event(0, "b", 2), (1, (b"a", b"no event")), event(0, "a", 3)])
    arrived = everything(topic, b"a")
    assert [(each.record.partition, each.record.offset) for each in arrived] == [
        (0, 0),
        (0, 2),
        (1, 0),
    ]
    assert [each.reason for each in arrived] == [None, None, "not_single_object"]


def test_it_begins_where_it_is_told_to_and_goes_on_with_what_arrives() -> None:
    """Until it is stopped."""
    topic = Topic()
    topic.append([event(0, "a", 1), event(0, "a", 2)])
    seconds = iter(range(3, 100))
    stopped = times(3, lambda: topic.append([event(0, "a", next(seconds))]))
    source = MemorySource(topic.log, [0])
    arrived = heard(source, {0: 1}, is_stopped=stopped)
    assert [each.record.offset for each in arrived] == [1, 2, 3, 4]
    assert source.acknowledged == {}
