"""``sessionfold doctor``: is everything here that a service needs, and if not, what to do."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import click

from ..broker import Broker
from ..config import Settings, load
from ..errors import ConsumerError, StoreUnusableError, TopicChangedError
from ..store import StoreInfo, is_postgres, open_store, sqlite_path, store_name
from ..topic import TopicDescription, deviations
from . import _options

_PACKAGES = ("confluent-kafka", "fastavro", "pydantic", "click", "numpy", "rich", "psycopg")


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
    store: list[StoreInfo] = []
    yield from _guarded(lambda: _store(settings, store))
    broker: list[Broker] = []
    yield from _guarded(lambda: _broker(settings, broker))
    if not broker:
        return
    topic: list[TopicDescription] = []
    yield from _guarded(lambda: _topic(settings, broker[0], topic))
    if topic and store:
        yield from _guarded(lambda: _belongs(store[0], topic[0]))


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
        extra = "postgres" if package == "psycopg" else "consumer"
        return f"{package} not installed (pip install 'sessionfold[{extra}]')"


def _store(settings: Settings, found: list[StoreInfo]) -> Iterator[Finding]:
    name = store_name(settings.store)
    if not is_postgres(settings.store) and not _is_writable_file(sqlite_path(settings.store)):
        yield Finding(text=f"the store {name} does not exist yet and can be made")
        return
    with closing(open_store(settings.store, read_only=True)) as store:
        found.append(store.info())
    version = found[0].contract_version
    yield Finding(text=f"the store {name} can be used (contract version {version})")


def _is_writable_file(path: Path) -> bool:
    """Return whether a store's file is there; whether or not, it has to be one that can be written.

    Raises:
        StoreUnusableError: when it cannot.
    """
    folder = path.absolute().parent
    if not path.exists():
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise StoreUnusableError(
                f"no store can be made at {path}: {folder} is no folder that can be written; make "
                "it, or name another file with --store"
            )
        return False
    for place in (path, folder):
        if not os.access(place, os.W_OK):
            raise StoreUnusableError(f"{place} cannot be written; change its rights or its owner")
    return True


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


def _belongs(store: StoreInfo, topic: TopicDescription) -> Iterator[Finding]:
    bound = store.identity
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
