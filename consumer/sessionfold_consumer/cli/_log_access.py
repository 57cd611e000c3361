"""Reading the log beside a service: the topic must be the store's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial

import click

from ..answers import History, Missing, SessionLog, StoredSession, read_session
from ..broker import Broker
from ..config import Settings
from ..errors import NotFoundError, TopicChangedError
from ..source.kafka import KafkaSource
from ..store import TopicIdentity, open_store, store_name
from ..store.messages import changed_message
from ..topic import refuse_destructive
from ._output import printable
from ._progress import ProgressReporter, progress_reporter


def confirm_topic(settings: Settings, bound: TopicIdentity | None) -> None:
    """See that the topic is the store's, and still has its events.

    Raises:
        TopicChangedError: when it is another one, or has other partitions.
        TopicUnsuitableError: when a setting destroys events.
    """
    description = Broker(settings).describe(settings.topic)
    found = TopicIdentity(
        topic=description.name,
        topic_id=description.topic_id,
        partition_count=description.partition_count,
    )
    if bound is not None and bound != found:
        raise TopicChangedError(changed_message(bound, found))
    refuse_destructive(description)


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """A session as its store has it, and its history, ready to be read."""

    stored: StoredSession
    history: History
    progress: ProgressReporter
    """Clear it before anything is printed."""


@contextmanager
def opened_history(settings: Settings, session_id: str) -> Iterator[Opened]:
    """Find a session in the store and its records in the log; say what the log no longer has.

    Raises:
        NotFoundError: when the store has nothing of it.
        TopicChangedError, TopicUnsuitableError: as for :func:`confirm_topic`.
    """
    with closing(open_store(settings.store, read_only=True)) as store:
        info, stored = store.info(), read_session(store, session_id)
    if not stored.partitions:
        raise NotFoundError("session", printable(session_id), store_name(settings.store))
    confirm_topic(settings, info.identity)
    with (
        progress_reporter() as progress,
        SessionLog(
            partial(KafkaSource, settings, info.group_id), stored, on_progress=progress.progressed
        ) as log,
    ):
        for each in log.missing:
            click.echo(f"sessionfold: {_words(each)}", err=True)
        yield Opened(stored=stored, history=History(log), progress=progress)


def _words(missing: Missing) -> str:
    return (
        f"the log does not have offsets {missing.first} to {missing.end - 1} of partition "
        f"{missing.partition}; what the session's events there gave is not shown, and states are "
        "made of the rest"
    )
