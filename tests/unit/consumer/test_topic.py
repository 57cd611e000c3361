"""What a topic of partial events must be like."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.topic import TopicDescription, deviations, wanted_settings


def described(copies: int = 3, /, **settings: str) -> TopicDescription:
    """Return a topic as it should be, but for the given settings (with ``_`` for ``.``)."""
    given_settings = {name.replace("_", "."): value for name, value in settings.items()}
    return TopicDescription(
        name="t",
        topic_id="id",
        partition_count=12,
        replication_factor=copies,
        settings=wanted_settings(3) | {"compression.type": "producer"} | given_settings,
    )


def test_a_topic_as_it_is_created_deviates_in_nothing() -> None:
    """What create asks for is what check wants."""
    assert deviations(described()) == []


@pytest.mark.parametrize(
    ("setting", "value", "wanted", "destroys"),
    [
        ("cleanup.policy", "compact", "delete", True),
        ("cleanup.policy", "compact,delete", "delete", True),
        ("retention.ms", "604800000", "-1", False),
        ("retention.bytes", "1073741824", "-1", False),
        ("message.timestamp.type", "CreateTime", "LogAppendTime", False),
        ("unclean.leader.election.enable", "true", "false", False),
        ("min.insync.replicas", "1", "2", False),
    ],
)
def test_each_deviation_is_named_with_what_is_wanted(
    setting: str, value: str, wanted: str, destroys: bool
) -> None:
    """Only compaction, in any form, destroys events in ordinary use."""
    [found] = deviations(described(**{setting.replace(".", "_"): value}))
    assert (found.setting, found.found, found.wanted) == (setting, value, wanted)
    assert found.destroys_events is destroys
    assert found.why


@pytest.mark.parametrize("copies", [1, 2])
def test_few_copies_are_a_deviation_of_their_own(copies: int) -> None:
    """The in-sync minimum then says nothing: with one copy it cannot be two."""
    [found] = deviations(described(copies, min_insync_replicas="1"))
    assert (found.setting, found.found) == ("replication factor", str(copies))
    assert not found.destroys_events


def test_a_stricter_in_sync_minimum_is_right() -> None:
    """Three of four copies is safer than two."""
    assert deviations(described(4, min_insync_replicas="3")) == []


@given(st.sets(st.sampled_from(["cleanup_policy", "retention_ms", "message_timestamp_type"])))
def test_what_destroys_events_comes_first(names: set[str]) -> None:
    """Every deviation is in the list, the dangerous ones at its head."""
    found = deviations(described(1, **dict.fromkeys(names, "else")))
    dangerous = [each.destroys_events for each in found]
    assert dangerous == sorted(dangerous, reverse=True)
    assert len(found) == len(names) + 1


def test_a_cluster_that_does_not_tell_a_setting_is_not_blamed() -> None:
    """Older brokers do not know all of them."""
    bare = TopicDescription(
        name="t", topic_id="id", partition_count=1, replication_factor=3, settings={}
    )
    assert deviations(bare) == []


@pytest.mark.parametrize("copies", [-1, 1, 2])
def test_the_in_sync_minimum_is_asked_for_only_with_three_copies(copies: int) -> None:
    """With fewer, one broker that is away would stop every worker."""
    assert "min.insync.replicas" not in wanted_settings(copies)
    assert wanted_settings(3)["min.insync.replicas"] == "2"
