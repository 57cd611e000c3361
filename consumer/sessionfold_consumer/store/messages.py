"""Sentences that every store says in the same words."""

from __future__ import annotations

from .protocol import TopicIdentity


def changed_message(stored: TopicIdentity, found: TopicIdentity) -> str:
    """Say how a topic differs from the one a store was built from, and what to do."""
    advice = "its offsets cannot be compared; fold it into a new store (another --store)"
    if stored.topic != found.topic:
        return f"this store was built from the topic {stored.topic}, not {found.topic}; {advice}"
    if stored.topic_id != found.topic_id:
        return (
            f"the topic {found.topic} is not the one this store was built from: its ID is "
            f"{found.topic_id}, the store's is {stored.topic_id} (it was deleted and created "
            f"again, or this is another cluster); {advice}"
        )
    return (
        f"the topic {found.topic} has {found.partition_count} partitions, the store was built from "
        f"{stored.partition_count}; with their number sessions move between them; {advice}"
    )


def switched_message(store: str) -> str:
    """Say that the generations were switched by another process."""
    return (
        f"another process has switched the generations of the store {store}; "
        "nothing was changed, begin again"
    )
