"""The verifier over a real broker and SQLite: beside a running service, and as the log is cut."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

import pytest

from sessionfold_consumer import bootstrap
from sessionfold_consumer.caution import FATAL_ATTEMPTS
from sessionfold_consumer.config import Settings
from sessionfold_consumer.dead_letters import retry
from sessionfold_consumer.source.kafka import KafkaSource
from sessionfold_consumer.store import FATAL_REASON, Advance, open_store
from sessionfold_consumer.verify import LogStartMissingError, Report, Verifier
from tests.services.kafka import Broker
from tests.services.topics import append, append_transaction, delete_records, end_offsets
from tests.unit.consumer.conftest import event
from tests.unit.consumer.verifying import assert_is_clean

pytestmark = pytest.mark.kafka

_BOUNDED = bootstrap.Wiring(in_group=False, to_present_end=True)

Records = list[tuple[bytes | None, bytes | None]]


@pytest.fixture
def settings(broker: Broker, topic: str, tmp_path: Path) -> Settings:
    """Settings of a service over a fresh topic and a new store; garbage does not stop it."""
    return Settings(
        bootstrap_servers=broker.bootstrap_servers,
        topic=topic,
        store=f"sqlite:///{tmp_path / 'sessions.db'}",
        breaker_ratio=1.0,
        breaker_run=0,
    )


def records(count: int, first: int = 0) -> Records:
    """Return events of seven sessions, and one record in ten that is none."""
    made: Records = []
    for number in range(first, first + count):
        fields = {"task": f"task {number}", "session_eval": number / 3, "lost_before": number % 2}
        _, (key, value) = event(0, f"session-{number % 7}", number, **fields)
        made.append((key, value) if number % 10 else (key, b"\xc3\x01" + bytes(number % 60)))
    return made


def run(settings: Settings) -> None:
    """Fold up to the present end."""
    with bootstrap.service(settings, _BOUNDED) as service:
        service.run()


def new_verifier(settings: Settings) -> Verifier:
    """Return a verifier that reads from the broker."""
    return Verifier(partial(KafkaSource, settings, "verify"), settle_seconds=0.5)


def check(settings: Settings, verifier: Verifier) -> Report:
    """Check the store, which is opened for reading."""
    with closing(open_store(settings.store, read_only=True)) as store:
        return verifier.check(store)


@contextmanager
def running(settings: Settings) -> Iterator[None]:
    """Run a service in its group, in another thread, for the time of the block."""
    stop = threading.Event()

    def fold() -> None:
        with bootstrap.service(settings, bootstrap.Wiring(in_group=True)) as service:
            service.run(stop.is_set)

    thread = threading.Thread(target=fold)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_what_a_run_leaves_is_clean(broker: Broker, settings: Settings) -> None:
    """Events, garbage with headers, a very long record, transactions and marks."""
    append(broker, settings.topic, records(500))
    headers = [("trace", b"1"), ("trace", None), ("", b"")]
    append(broker, settings.topic, [(b"a", b"x"), (None, None), (b"\xff", b"")], headers=headers)
    append(broker, settings.topic, [(b"a", b"\xc3\x01" + bytes(900_000))], partition=1)
    append_transaction(broker, settings.topic, records(5), partition=0)
    append_transaction(broker, settings.topic, records(5, 5), partition=0, commit=False)
    run(settings)
    report = check(settings, new_verifier(settings))
    assert_is_clean(report)
    assert report.positions == end_offsets(broker, settings.topic)
    assert report.records == report.records_read == 500 + 3 + 1 + 5
    assert report.dead_letters == 50 + 3 + 1 + 1
    assert report.notes == []


def test_it_can_check_while_the_service_runs(broker: Broker, settings: Settings) -> None:
    """Each check is of one moment, and reads on from the last one's."""
    append(broker, settings.topic, records(10))
    run(settings)
    verifier, read = new_verifier(settings), []
    with running(settings):
        for number in range(1, 9):
            append(broker, settings.topic, records(200, 200 * number))
            report = check(settings, verifier)
            assert_is_clean(report)
            read.append(report.records_read)
            assert sum(read) == report.records
    run(settings)
    report = check(settings, verifier)
    assert_is_clean(report)
    assert report.records == 10 + 8 * 200
    assert len([count for count in read if count]) > 1


def test_damage_is_named(broker: Broker, settings: Settings) -> None:
    """What was written without a move of the position, twice or in the wrong place."""
    append(broker, settings.topic, records(50))
    run(settings)
    with closing(open_store(settings.store)) as store:
        [state, *_] = store.states()
        again = tuple(state[name] for name in state if name != "dead_letters")
        store.commit([], [again], [])
    report = check(settings, new_verifier(settings))
    assert {(d.session_id, d.partition) for d in report.differences} == {
        (state["session_id"], state["partition"])
    }
    assert {d.field: d.stored for d in report.differences} == {
        "event_count": 2 * state["event_count"],
        "lost_before": 2 * state["lost_before"],
    }


def test_a_position_behind_the_logs_end_is_a_difference(broker: Broker, settings: Settings) -> None:
    """As after an election of a replica that was behind; it is waited for a little only."""
    append(broker, settings.topic, records(9, 1), partition=1)
    run(settings)
    with closing(open_store(settings.store)) as store:
        [held] = store.claim([1], "test").values()
        store.commit([Advance(position=held, next_offset=12)], [], [])
    [difference] = check(settings, new_verifier(settings)).differences
    assert (difference.kind, difference.partition) == ("position", 1)
    assert difference.expected == "no record from 9 on, where it ends"


def test_a_log_that_lost_its_start_is_followed_by_who_has_read_it(
    broker: Broker, settings: Settings
) -> None:
    """A new verifier says what is missing; the one that was there needs it no longer."""
    append(broker, settings.topic, records(9, 1), partition=2)
    run(settings)
    verifier = new_verifier(settings)
    assert_is_clean(check(settings, verifier))
    delete_records(broker, settings.topic, 2, before=4)
    append(broker, settings.topic, records(9, 1), partition=2)
    run(settings)
    report = check(settings, verifier)
    assert_is_clean(report)
    assert (report.records, report.records_read) == (18, 9)
    with pytest.raises(LogStartMissingError, match="offsets 0 to 3 of partition 2 were folded"):
        check(settings, new_verifier(settings))


def test_a_dead_letter_that_is_retried_late_takes_its_place(
    broker: Broker, settings: Settings
) -> None:
    """It was set aside undecoded and read by the verifier then; its event is folded now."""
    append(broker, settings.topic, records(9, 1), partition=3)
    verifier = new_verifier(settings)
    with bootstrap.service(settings, _BOUNDED):
        pass  # only to tie the store to the topic
    with closing(open_store(settings.store)) as store:
        for _ in range(FATAL_ATTEMPTS):
            store.attempt([store.positions()[3]])
    run(settings)
    report = check(settings, verifier)
    assert_is_clean(report)
    assert [note.kind for note in report.notes] == ["retriable"]
    with closing(open_store(settings.store)) as store:
        letters = list(store.dead_letters())
        assert [(letter.offset, letter.reason) for letter in letters] == [(0, FATAL_REASON)]
        retried = retry(letters)
        store.resolve(retried.accepted, "retried", retried.rows)
    for each in (verifier, new_verifier(settings)):
        report = check(settings, each)
        assert_is_clean(report)
        assert (report.notes, report.dead_letters) == ([], 1)
