"""What a topic of partial events must be like, and why. Pure: judges a description."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .errors import TopicUnsuitableError

DEFAULT_PARTITIONS = 12

COPIES_FOR_SAFETY = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicDescription:
    """A topic as its cluster describes it."""

    name: str
    topic_id: str
    partition_count: int
    replication_factor: int
    settings: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deviation:
    """One way in which a topic differs from what it should be."""

    setting: str
    found: str
    wanted: str
    why: str
    destroys_events: bool
    """Whether events are lost by it in ordinary use; the service refuses such a topic."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Wanted:
    value: str
    why: str
    destroys_events: bool = False


_WANTED: dict[str, _Wanted] = {
    "cleanup.policy": _Wanted(
        value="delete",
        why="compaction keeps only the last event of each session, and an event holds only the "
        "fields that changed: all others would be lost",
        destroys_events=True,
    ),
    "retention.ms": _Wanted(
        value="-1",
        why="events older than this are deleted; the state can then no longer be rebuilt from the "
        "topic",
    ),
    "retention.bytes": _Wanted(
        value="-1",
        why="the oldest events are deleted when a partition is larger; the state can then no "
        "longer be rebuilt from the topic",
    ),
    "message.timestamp.type": _Wanted(
        value="LogAppendTime",
        why="only the broker's own time never runs backwards in a partition, so only with it "
        "'the state at a time' has one meaning",
    ),
    "unclean.leader.election.enable": _Wanted(
        value="false",
        why="a replica that is behind may become leader, and acknowledged events are lost",
    ),
}


def wanted_settings(replication_factor: int) -> dict[str, str]:
    """Return the settings to create a topic of so many copies with."""
    settings = {name: wanted.value for name, wanted in _WANTED.items()}
    if replication_factor >= COPIES_FOR_SAFETY:
        settings["min.insync.replicas"] = "2"
    return settings


def deviations(topic: TopicDescription) -> list[Deviation]:
    """Return how ``topic`` differs from what it should be, the dangerous ones first."""
    found = [
        Deviation(
            setting=name,
            found=topic.settings[name],
            wanted=wanted.value,
            why=wanted.why,
            destroys_events=wanted.destroys_events,
        )
        for name, wanted in _WANTED.items()
        if topic.settings.get(name, wanted.value) != wanted.value
    ]
    return [*found, *_copies(topic)]


def refuse_destructive(topic: TopicDescription) -> None:
    """See that the topic keeps its events.

    Raises:
        TopicUnsuitableError: when a setting destroys them.
    """
    for each in deviations(topic):
        if each.destroys_events:
            raise TopicUnsuitableError(topic.name, each.setting, each.found, each.wanted, each.why)


def _copies(topic: TopicDescription) -> list[Deviation]:
    if topic.replication_factor < COPIES_FOR_SAFETY:
        return [
            Deviation(
                setting="replication factor",
                found=str(topic.replication_factor),
                wanted=str(COPIES_FOR_SAFETY),
                why="with fewer copies the loss of a broker can be the loss of events (on a "
                "cluster of one broker there is no choice)",
                destroys_events=False,
            )
        ]
    in_sync = topic.settings.get("min.insync.replicas", "2")
    if int(in_sync) >= 2:  # noqa: PLR2004 - the acknowledging leader and one more
        return []
    return [
        Deviation(
            setting="min.insync.replicas",
            found=in_sync,
            wanted="2",
            why="an event is acknowledged while only one broker has it",
            destroys_events=False,
        )
    ]
