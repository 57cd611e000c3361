"""``sessionfold doctor``: is everything here that a service needs, and if not, what to do."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata

import click

from ..broker import Broker
from ..config import Settings, load
from ..errors import ConsumerError, StoreUnusableError, TopicChangedError
from ..store import open_store, sqlite_path
from ..topic import TopicDescription, deviations
from . import _options

_PACKAGES = ("confluent-kafka", "fastavro", "pydantic", "click", "numpy", "rich")


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at. ``exit_code`` is 0 when it is as it should be."""

    text: str
    exit_code: int = 0
    is_note: bool = False


@click.command("doctor")
@_options.broker_options
@_options.store
def command(kafka_options: tuple[str, ...], **options: object) -> None:
    """Check versions, store, broker and topic, and say how to mend what is wrong.

    Exits with 0, or with the code of the first thing that is wrong.
    """
    settings = load(options, kafka_options)
    first_code = 0
    for finding in examine(settings):
        word = "FAIL" if finding.exit_code else "note" if finding.is_note else "ok"
        click.echo(f"{word:<5} {finding.text}")
        first_code = first_code or finding.exit_code
    raise SystemExit(first_code)


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything, one after the other; what is missing hides what needs it."""
    yield _versions()
    yield from _guarded(lambda: _store(settings))
    broker: list[Broker] = []
    yield from _guarded(lambda: _broker(settings, broker))
    if not broker:
        return
    topic: list[TopicDescription] = []
    yield from _guarded(lambda: _topic(settings, broker[0], topic))
    if topic:
        yield from _guarded(lambda: _belongs(settings, topic[0]))


def _guarded(look: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    try:
        yield from look()
    except ConsumerError as error:
        yield Finding(text=str(error), exit_code=error.exit_code)


def _versions() -> Finding:
    found = [f"Python {platform.python_version()}", *map(_version, _PACKAGES)]
    return Finding(text=f"sessionfold {metadata.version('sessionfold')}: " + ", ".join(found))


def _version(package: str) -> str:
    try:
        return f"{package} {metadata.version(package)}"
    except metadata.PackageNotFoundError:
        return f"{package} not installed (pip install 'sessionfold[consumer]')"


def _store(settings: Settings) -> Iterator[Finding]:
    path = sqlite_path(settings.store)
    folder = path.absolute().parent
    if not path.exists():
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise StoreUnusableError(
                f"no store can be made at {path}: {folder} is no folder that can be written; make "
                "it, or name another file with --store"
            )
        yield Finding(text=f"the store {path} does not exist yet and can be made")
        return
    for place in (path, folder):
        if not os.access(place, os.W_OK):
            raise StoreUnusableError(f"{place} cannot be written; change its rights or its owner")
    with closing(open_store(settings.store, read_only=True)) as store:
        info = store.info()
    yield Finding(text=f"the store {path} can be used (contract version {info.contract_version})")


def _broker(settings: Settings, found: list[Broker]) -> Iterator[Finding]:
    broker = Broker(settings)
    cluster = broker.cluster_id()
    found.append(broker)
    yield Finding(text=f"a broker answers at {settings.bootstrap_servers} (cluster {cluster})")


def _topic(settings: Settings, broker: Broker, found: list[TopicDescription]) -> Iterator[Finding]:
    topic = broker.describe(settings.topic)
    found.append(topic)
    yield Finding(text=f"the topic {topic.name} has {topic.partition_count} partitions")
    for each in deviations(topic):
        text = f"{each.setting} is {each.found}, should be {each.wanted}: {each.why}"
        yield Finding(text=text, exit_code=8 if each.destroys_events else 0, is_note=True)


def _belongs(settings: Settings, topic: TopicDescription) -> Iterator[Finding]:
    if not sqlite_path(settings.store).exists():
        return
    with closing(open_store(settings.store, read_only=True)) as store:
        bound = store.info().identity
    if bound is None:
        yield Finding(text="the store is empty; the first run ties it to this topic")
    elif (bound.topic_id, bound.partition_count) != (topic.topic_id, topic.partition_count):
        raise TopicChangedError(
            f"the store was built from the topic {bound.topic} with ID {bound.topic_id} and "
            f"{bound.partition_count} partitions, {topic.name} here has ID {topic.topic_id} and "
            f"{topic.partition_count}; fold it into a new store (another --store)"
        )
    else:
        yield Finding(text=f"the store was built from this topic (ID {topic.topic_id})")
