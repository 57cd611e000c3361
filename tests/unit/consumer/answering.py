"""Answers about sessions of a log and a store in memory."""

from __future__ import annotations

from sessionfold_consumer.answers import (
    Explained,
    History,
    SessionLog,
    Step,
    StoredSession,
    explain,
    read_session,
)
from sessionfold_consumer.source import MemorySource
from sessionfold_consumer.store import SessionStore
from tests.unit.consumer.services import Topic, new_service, new_store


def folded(topic: Topic) -> SessionStore:
    """Return a store with all that a topic has."""
    store = new_store()
    new_service(MemorySource(topic.log), store, until=topic.ends()).run()
    return store


def session_log(topic: Topic, stored: StoredSession) -> SessionLog:
    """Return the records of a session; waits for nothing."""
    return SessionLog(
        lambda partitions: MemorySource(topic.log, partitions), stored, settle_seconds=0
    )


def history(topic: Topic, store: SessionStore, session_id: str) -> list[Step]:
    """Return a session's steps."""
    with session_log(topic, read_session(store, session_id)) as log:
        return list(History(log))


def explained(topic: Topic, store: SessionStore, session_id: str, partition: int = 0) -> Explained:
    """Explain a session's state in a partition."""
    stored = read_session(store, session_id)
    [state] = [each for each in stored.states if each["partition"] == partition]
    with session_log(topic, stored) as log:
        return explain(state, History(log), log.missing)
