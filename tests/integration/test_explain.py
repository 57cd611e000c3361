"""What explain and history say of a thousand sessions, held to a plain scan of the log."""

from __future__ import annotations

import io
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import fastavro
import pytest

from benchmarks.workload import Workload
from sessionfold_consumer import bootstrap
from sessionfold_consumer.answers import (
    Explanation,
    History,
    Origin,
    SessionLog,
    Step,
    StoredSession,
    explain,
    read_session,
)
from sessionfold_consumer.caution import FATAL_ATTEMPTS
from sessionfold_consumer.config import Settings
from sessionfold_consumer.dead_letters import retry
from sessionfold_consumer.source.kafka import KafkaSource
from sessionfold_consumer.store import open_store
from sessionfold_schemas import current
from tests.services.kafka import Broker
from tests.services.topics import (
    StoredRecord,
    append,
    create_topic,
    read_all,
    unique_topic_name,
)
from tests.unit.consumer.conftest import event

pytestmark = pytest.mark.kafka

SESSIONS = 1_000
_WORKLOAD = Workload(events=9 * SESSIONS, sessions=SESSIONS, live=30)
_BOUNDED = bootstrap.Wiring(in_group=False, to_present_end=True)
_HEADER_BYTES = 10
_GARBAGE = (b"no event", b"\xc3\x01" + bytes(20))


@dataclass
class Scanned:
    """What a plain scan finds of one session: for each field who gave it, in log order."""

    events: list[tuple[StoredRecord, dict[str, Any]]] = field(default_factory=list)
    aside: list[int] = field(default_factory=list)

    def givers(self, name: str) -> list[tuple[StoredRecord, dict[str, Any]]]:
        """Return the events that gave a field."""
        return [each for each in self.events if each[1][name] is not None]


def scan(records: Sequence[StoredRecord], left_out: set[tuple[int, int]]) -> dict[str, Scanned]:
    """Read the log from its first record to its last with fastavro, and no code of ours."""
    schema = fastavro.parse_schema(dict(current().avro_schema))
    sessions: defaultdict[str, Scanned] = defaultdict(Scanned)
    for record in records:
        session = sessions[(record.key or b"").decode()]
        if record.value in _GARBAGE or (record.partition, record.offset) in left_out:
            session.aside.append(record.offset)
            continue
        body = io.BytesIO((record.value or b"")[_HEADER_BYTES:])
        event: Any = fastavro.schemaless_reader(body, schema, None)
        session.events.append((record, event))
    return sessions


@pytest.fixture(scope="module")
def settings(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A store of a thousand sessions in two partitions, disturbed by garbage and another producer.

    The first record of each partition was set aside undecoded: one is retried, one is dropped.
    """
    topic = unique_topic_name()
    create_topic(broker, topic, partitions=2)
    append(broker, topic, _disturbed(random.Random(7)))
    folder = tmp_path_factory.mktemp("explain")
    settings = Settings(
        bootstrap_servers=broker.bootstrap_servers,
        topic=topic,
        store=f"sqlite:///{folder / 'sessions.db'}",
    )
    with bootstrap.service(settings, _BOUNDED):
        pass  # only to tie the store to the topic
    with closing(open_store(settings.store)) as store:
        for _ in range(FATAL_ATTEMPTS):
            store.attempt([*store.positions().values()])
    with bootstrap.service(settings, _BOUNDED) as service:
        service.run()
    with closing(open_store(settings.store)) as store:
        first, second = [each for each in store.dead_letters() if each.reason == "fatal"]
        again = retry([first])
        store.resolve(again.accepted, "retried", again.rows)
        store.resolve([second], "dropped")
    return settings


def _disturbed(chance: random.Random) -> Iterator[tuple[bytes, bytes]]:
    """Yield the workload's records with garbage and another producer's events between them."""
    for number, (key, value) in enumerate(_WORKLOAD.records()):
        yield key, value
        if chance.random() < 0.05:
            yield key, chance.choice(_GARBAGE)
        if chance.random() < 0.2:
            fields = {"task": chance.choice(("again", "")), "started_at": number}
            _, other = event(
                0, key.decode(), number, producer_id="other", lost_before=number % 3, **fields
            )
            yield other


def stored_sessions(settings: Settings) -> Iterator[StoredSession]:
    """Yield every session as the store has it."""
    with closing(open_store(settings.store, read_only=True)) as store:
        for state in store.states():
            yield read_session(store, state["session_id"])


def history(settings: Settings, stored: StoredSession) -> tuple[list[Step], SessionLog]:
    """Read a session's history from the broker."""
    with SessionLog(partial(KafkaSource, settings, "explain"), stored) as log:
        return list(History(log)), log


def test_a_thousand_sessions_are_explained_as_a_plain_scan_does(
    broker: Broker, settings: Settings
) -> None:
    """Every field: value, record, times, producer, sequence, and the same of what it replaced."""
    with closing(open_store(settings.store, read_only=True)) as store:
        [left_out] = [e[:2] for e in store.dead_letters() if e.status == "dropped"]
    scanned = scan(read_all(broker, settings.topic), {left_out})
    partitions, asides, lost, checked = set(), 0, 0, 0
    for stored in stored_sessions(settings):
        [state] = stored.states
        expected = scanned[stored.session_id]
        steps, log = history(settings, stored)
        explained = explain(state, steps, log.missing)
        assert (explained.disagreements, explained.missing) == (0, [])
        assert explained.set_aside == len(expected.aside)
        assert [s.record.offset for s in steps if s.is_event] == [
            record.offset for record, _ in expected.events
        ]
        for each in explained.explanations:
            assert_explains(each, expected)
            checked += 1
        partitions.add(state["partition"])
        asides += explained.set_aside
        lost += state["lost_before"]
    assert checked >= SESSIONS * len(current().state_fields)
    assert partitions == {0, 1}
    assert asides > 100
    assert lost > 100


def assert_explains(each: Explanation, scanned: Scanned) -> None:
    """Hold one field's explanation to the scan."""
    fields = {found.name: found.fold for found in current().fields}
    if each.field in ("event_count", "lost_before"):
        total = len(scanned.events)
        if each.field == "lost_before":
            total = sum(event["lost_before"] for _, event in scanned.events)
        assert each.value == total == sum(part.amount for part in each.parts or ())
        return
    name = each.field.removeprefix("first_").removeprefix("last_")
    is_first = each.field.startswith("first_") or fields.get(name) == "first"
    givers = scanned.givers(name)
    assert each.times_given == len(givers)
    if not givers:
        assert (each.value, each.set_by, each.replaced) == (None, None, None)
        return
    winner = givers[0] if is_first else givers[-1]
    assert_is(each.value, each.set_by, name, winner)
    if is_first or len(givers) == 1:
        assert each.replaced is None
    else:
        assert each.replaced is not None
        assert_is(each.replaced.value, each.replaced.set_by, name, givers[-2])


def assert_is(
    value: Any,  # noqa: ANN401 - a state value
    origin: Origin | None,
    name: str,
    scanned: tuple[StoredRecord, dict[str, Any]],
) -> None:
    """Hold a value and where it comes from to an event of the scan."""
    record, event = scanned
    assert value == _plain(event[name])
    assert origin == Origin(
        partition=record.partition,
        offset=record.offset,
        timestamp=record.timestamp_ms,
        occurred_at=_plain(event["occurred_at"]),
        producer_id=event["producer_id"],
        sequence=event["sequence"],
    )


def _plain(value: Any) -> Any:  # noqa: ANN401 - an Avro value
    """Return a time as integer microseconds."""
    if hasattr(value, "timestamp"):
        return round(value.timestamp() * 1_000_000)
    return value
