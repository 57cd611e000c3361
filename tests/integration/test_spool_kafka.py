"""The spool on a real broker: what could not be sent is kept, counted, and sent later, in order."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import require
from tests.e2e.outage.log import Event, events, folded, journals
from tests.e2e.outage.remote import Remote
from tests.services.kafka import KafkaBroker, kafka_available
from tests.services.topics import create_topic, read_all, unique_topic_name

pytestmark = pytest.mark.kafka

ROOM = 100
"""Events that a worker of these tests hands to the client before its spool is used."""

Start = Callable[..., Remote]

FILL = "for n in range({}): lai.update_session(task=str(n), session_id=f's{{n % 10}}')"
"""Updates of ten sessions in turn; the last of each is known by its number."""


@pytest.fixture(scope="module")
def victim() -> Iterator[KafkaBroker]:
    """A broker for this file, which freezes it."""
    require(kafka_available())
    with KafkaBroker.start() as started:
        yield started


@pytest.fixture
def name(victim: KafkaBroker) -> str:
    """A topic of the test's own."""
    topic = unique_topic_name()
    create_topic(victim, topic)
    return topic


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """Where the workers of a test keep what they cannot send."""
    return tmp_path / "state" / "spool"


@pytest.fixture
def start(victim: KafkaBroker, name: str, spool: Path) -> Iterator[Start]:
    """Start workers on the test's topic and spool; they end with the test."""
    started: list[Remote] = []

    def start_one(**settings: object) -> Remote:
        given: dict[str, object] = {
            "bootstrap_servers": victim.bootstrap_servers,
            "topic": name,
            "spool_directory": spool,
            "queue_events": 1_000,
            "kafka_queue_buffering_max_messages": ROOM,
            "linger_milliseconds": 1,
            "exit_timeout_seconds": 1,
            "kafka_reconnect_backoff_max_ms": 200,
        }
        started.append(Remote(**given | settings))
        return started[-1]

    yield start_one
    for each in started:
        each.__exit__()


@contextmanager
def frozen(broker: KafkaBroker) -> Iterator[None]:
    """The broker does nothing until the end of the block."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(broker.pid, signal.SIGCONT)


def tasks(broker: KafkaBroker, topic: str) -> dict[str, Any]:
    """Return the task that each session has come to."""
    return {key: given.get("task") for key, given in folded(read_all(broker, topic)).items()}


def found(broker: KafkaBroker, topic: str) -> list[Event]:
    """Return the events of the topic."""
    return events(read_all(broker, topic))


def last_of(count: int) -> dict[str, str]:
    """Return what ``FILL`` with this count must come to."""
    return {f"s{n % 10}": str(n) for n in range(count)}


def deliver_all(worker: Remote) -> dict[str, int]:
    """Let the worker deliver everything; return its accounts then."""
    assert worker("lai.flush(20)"), (worker.stats(), worker("lines"))
    stats = worker.stats()
    assert stats["spooled"] == stats["in_flight"] == 0
    return stats


def test_the_same_process_sends_what_it_kept(
    victim: KafkaBroker, name: str, start: Start, spool: Path
) -> None:
    """Each event once and in order; nothing stays on the disk."""
    worker = start()
    with frozen(victim):
        worker(FILL.format(300))
        worker.until("spooled > 150")
    assert deliver_all(worker)["delivered"] == 300
    assert [int(each["task"]) for each in found(victim, name) if each["session_id"] == "s3"] == [
        *range(3, 300, 10)
    ]
    assert list(spool.iterdir()) == []


def test_the_next_process_sends_what_was_kept(
    victim: KafkaBroker, name: str, start: Start, spool: Path
) -> None:
    """The process that ended in the outage counts it as spooled, the next as adopted."""
    first = start()
    with frozen(victim):
        first(FILL.format(300))
        first("lai.shutdown(0.2)")
        assert first.stats()["spooled"] == 300
        first.end()
    following = start()
    following("lai.update_session(task='now', session_id='s3')")
    assert following.until("adopted_delivered == 300")["adopted_waiting"] == 0
    assert deliver_all(following)["delivered"] == 1
    assert tasks(victim, name) == last_of(300) | {"s3": "now"}
    assert list(spool.iterdir()) == []


CHILD = """
import os
child = os.fork()
if not child:
    lai.update_session(task="child")
    flushed = lai.flush(20)
    lai.shutdown()
    os._exit(0 if flushed else 1)
"""


@pytest.mark.parametrize("session_id", ["'known'", "None"])
def test_a_child_goes_on_behind_what_its_parent_kept(
    victim: KafkaBroker, name: str, start: Start, session_id: str
) -> None:
    """A fork while the parent spools: nothing is lost or sent twice, the child's word is last."""
    worker = start()
    worker(f"lai.init(session_id={session_id}, auto_end=False)")
    deliver_all(worker)
    with frozen(victim):
        worker("for n in range(200): lai.update_session(task=str(n))")
        worker.until("spooled > 50")
        worker(CHILD)
        worker("for n in range(50): lai.update_session(task=str(n), session_id='other')")
    assert worker("os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])") == 0
    assert deliver_all(worker)["delivered"] == 251
    assert sorted(tasks(victim, name).values()) == ["49", "child"]
    assert len(found(victim, name)) == 252


def test_a_full_disk_and_then_room(
    victim: KafkaBroker, name: str, start: Start, spool: Path
) -> None:
    """What the disk does not take waits in memory, said once; when there is room, it goes there."""
    worker = start()
    with frozen(victim):
        fill_the_disk(worker)
        time.sleep(1.5)
        stats = worker.stats()
        assert (stats["dropped"], stats["in_flight"] > ROOM) == (0, True)
        assert on_disk(spool) == stats["spooled"]
        told = [line for line in worker("lines") if "File too large" in line]
        assert len(told) == 1
        assert [told[0], 0] in worker("failures")
        limit(worker, 1 << 30)
        stats = worker.until(f"in_flight <= {ROOM}")
        assert on_disk(spool) == stats["spooled"] == 400 - stats["in_flight"]
    assert deliver_all(worker)["delivered"] == 400
    assert tasks(victim, name) == last_of(200)
    assert list(spool.iterdir()) == []


def test_a_disk_that_stays_full(victim: KafkaBroker, name: str, start: Start) -> None:
    """What waits in memory is delivered all the same when the broker is back, in order."""
    worker = start()
    with frozen(victim):
        fill_the_disk(worker)
    assert deliver_all(worker)["delivered"] == 400
    assert tasks(victim, name) == last_of(200)


def open_to_others(place: Path) -> None:
    """Make it a directory that everybody may write to."""
    place.mkdir()
    place.chmod(0o777)


def below_a_file(place: Path) -> None:
    """Make what it would be in a file."""
    place.parent.rmdir()
    place.parent.write_text("")


UNUSABLE: dict[str, Callable[[Path], object]] = {
    "a file": lambda place: place.write_text(""),
    "a link": lambda place: place.symlink_to("elsewhere"),
    "open to others": open_to_others,
    "below a file": below_a_file,
}


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_directory_that_cannot_be_used(
    victim: KafkaBroker, name: str, start: Start, spool: Path, what: str
) -> None:
    """Said once; the worker goes on, and what waits in memory is delivered afterwards."""
    worker = start(queue_events=400)
    make_unusable(spool, what)
    with frozen(victim):
        worker(FILL.format(200))
        time.sleep(1.5)
        stats = worker.stats()
        assert (stats["spooled"], stats["dropped"], stats["in_flight"]) == (0, 0, 200)
        assert len([line for line in worker("lines") if "wait in memory" in line]) == 1
    assert deliver_all(worker)["delivered"] == 200
    assert tasks(victim, name) == last_of(200)


@pytest.mark.parametrize("what", UNUSABLE)
def test_a_directory_that_cannot_be_used_until_the_queue_is_full(
    victim: KafkaBroker, name: str, start: Start, spool: Path, what: str
) -> None:
    """Updates are joined and then dropped, counted and told; the ends get through."""
    worker = start(queue_events=50)
    worker("sessions = [lai.init(session_id=f's{n}', auto_end=False) for n in range(200)]")
    deliver_all(worker)
    make_unusable(spool, what)
    with frozen(victim):
        worker("for each in sessions: lai.update_session(task='t', session_id=each)")
        worker("for each in sessions: lai.end_session(session_id=each)")
        stats = worker.until("dropped >= 100")
        assert stats["dropped"] < 200
        worker.until(f"dropped == {stats['dropped']}")
    worker("lai.flush(20)")
    stats = worker.stats()
    assert (stats["spooled"], stats["in_flight"]) == (0, 0)
    log = found(victim, name)
    assert sum(event["lost_before"] for event in log) == stats["dropped"]
    assert sum(event["is_finished"] is True for event in log) == 200
    worker.wait(f"sum(dropped for _, dropped in failures) == {stats['dropped']}")


def test_a_directory_that_is_deleted_in_the_outage(
    victim: KafkaBroker, name: str, start: Start, spool: Path
) -> None:
    """What was in it is saved into a new one, by the same process."""
    worker = start()
    with frozen(victim):
        worker(FILL.format(200))
        worker.until("spooled > 50")
        delete(spool)
        worker(FILL.format(200))
        stats = worker.until("spooled > 250")
        assert on_disk(spool) == stats["spooled"]
        delete(spool)
    assert deliver_all(worker)["delivered"] == 400
    assert tasks(victim, name) == last_of(200)


def test_a_directory_that_is_deleted_before_the_end(
    victim: KafkaBroker, name: str, start: Start, spool: Path
) -> None:
    """The process that ends in the outage leaves a new one to the next."""
    worker = start()
    with frozen(victim):
        worker(FILL.format(200))
        worker.until("spooled > 50")
        delete(spool)
        worker("lai.shutdown(0.2)")
        assert worker.stats()["spooled"] == 200 == on_disk(spool)
        worker.end()
    start().until("adopted_delivered == 200")
    assert tasks(victim, name) == last_of(200)


def test_a_deleted_directory_on_a_full_disk(
    victim: KafkaBroker, name: str, start: Start, spool: Path
) -> None:
    """What was saved in part is not sent by the next process behind what came later."""
    worker = start(queue_events=2_500, kafka_queue_buffering_max_messages=1_000)
    with frozen(victim):
        worker("for n in range(2000): lai.update_session(task=str(n), session_id='s')")
        worker.until("spooled == 1000")
        [path] = spool.glob("*.spool")
        limit(worker, path.stat().st_size * 7 // 10)
        delete(spool)
        worker("for n in range(2000, 2100): lai.update_session(task=str(n), session_id='s')")
        time.sleep(3.5)
    assert len([line for line in worker("lines") if "cannot be spooled" in line]) == 1
    assert deliver_all(worker)["delivered"] == 2_100
    worker("lai.shutdown(5)")
    worker.end()
    following = start()
    following("lai.init(session_id='end')")
    deliver_all(following)
    following.until("adopted_waiting == 0")
    time.sleep(1)
    assert tasks(victim, name)["s"] == "2099"


BIG = """
import time
for each in sessions:
    lai.update_session(task="x" * 60_000, session_id=each)
    {}
"""
"""An update of 60 kB of each session; 17 of them fill a spool of 1 MiB."""


@pytest.mark.parametrize("pause", ["time.sleep(0.005)", "pass"], ids=["one by one", "at once"])
def test_what_the_spool_has_no_room_for_waits_in_memory(
    victim: KafkaBroker, name: str, start: Start, pause: str
) -> None:
    """Nothing is dropped while there is room in one of them."""
    worker = start(spool_megabytes=1)
    worker("sessions = [f's{n}' for n in range(200)]")
    with frozen(victim):
        worker(BIG.format(pause))
        stats = worker.until("spooled >= 17")
        time.sleep(0.5)
        assert worker.stats() == stats
        assert (stats["dropped"], stats["coalesced"]) == (0, 0)
    assert deliver_all(worker)["delivered"] == 200


def test_the_bound_of_spool_and_queue(
    victim: KafkaBroker, name: str, start: Start, spool: Path
) -> None:
    """What is beyond it is dropped, told by the next event; ends get through; the rest is sent."""
    worker = start(spool_megabytes=1, queue_events=2 * ROOM)
    worker("sessions = [lai.init(session_id=f's{n}', auto_end=False) for n in range(300)]")
    deliver_all(worker)
    with frozen(victim):
        worker(BIG.format("time.sleep(0.005)"))
        stats = worker.until("dropped > 0")
        assert stats["dropped"] <= 300 - ROOM - 17
        assert sum(path.stat().st_size for path in spool.glob("*.spool")) < 1.1 * (1 << 20)
        worker("for each in sessions: lai.end_session(session_id=each)")
    worker("lai.flush(20)")
    stats = worker.stats()
    assert (stats["spooled"], stats["in_flight"]) == (0, 0)
    log = found(victim, name)
    assert sum(event["lost_before"] for event in log) == stats["dropped"]
    assert sum(event["is_finished"] is True for event in log) == 300
    worker.wait(f"sum(dropped for _, dropped in failures) == {stats['dropped']}")


def test_a_worker_that_was_frozen(victim: KafkaBroker, name: str, start: Start) -> None:
    """For longer than a delivery may take, with events under way: flush works, no value is lost.

    An update whose values newer ones have replaced on the broker may be given up, with a number.
    """
    worker = start(delivery_timeout_seconds=1, kafka_queue_buffering_max_messages=1_000)
    worker(FILL.format(10))
    deliver_all(worker)
    with frozen(victim):
        worker(FILL.format(500))
        worker.signal(signal.SIGSTOP)
        time.sleep(3)
    worker.signal(signal.SIGCONT)
    flushed = worker("lai.flush(20)")
    stats = worker.stats()
    assert flushed == (stats["dropped"] == 0)
    assert (stats["accepted"], stats["delivered"]) == (510, 510 - stats["dropped"])
    assert tasks(victim, name) == last_of(500)


def test_a_client_that_fails_for_good(victim: KafkaBroker, name: str, start: Start) -> None:
    """Another takes its place; what it had is kept and sent in order."""
    narrow = unique_topic_name()
    create_topic(victim, narrow, partitions=1, max_message_bytes="6000")
    worker = start(
        topic=narrow,
        kafka_queue_buffering_max_messages=1_000,
        kafka_enable_gapless_guarantee="true",
    )
    worker(FILL.format(10))
    deliver_all(worker)
    with frozen(victim):
        worker(FILL.format(50))
        worker(NOISE)
        worker("lai.update_session(task=noise, session_id='s')")
        worker(FILL.format(100))
    worker("lai.flush(20)")
    stats = worker.stats()
    assert any("the Kafka client has failed" in line for line in worker("lines")), worker("lines")
    assert (stats["delivered"], stats["dropped"]) == (160, 1)
    deliver_all(worker)
    assert tasks(victim, narrow) == last_of(100)


def test_a_topic_that_is_not_there_yet(victim: KafkaBroker, start: Start, spool: Path) -> None:
    """Nothing is dropped; when the topic is made, all of it is sent."""
    late = unique_topic_name()
    worker = start(
        topic=late,
        delivery_timeout_seconds=2,
        kafka_topic_metadata_propagation_max_ms=500,
        kafka_topic_metadata_refresh_interval_ms=500,
    )
    worker(FILL.format(100))
    assert worker.until("spooled == 100")["dropped"] == 0
    create_topic(victim, late)
    assert deliver_all(worker)["delivered"] == 100
    assert tasks(victim, late) == last_of(100)
    assert list(spool.iterdir()) == []


NOISE = """
import random
noise = "".join(map(chr, random.choices(range(0x4E00, 0x9000), k=5_000)))
"""


@pytest.mark.parametrize("away", [False, True], ids=["sent", "spooled"])
def test_an_event_that_the_broker_refuses(victim: KafkaBroker, start: Start, away: bool) -> None:
    """It is dropped, told to operator and consumer; its neighbours in the batch are not."""
    narrow = unique_topic_name()
    create_topic(victim, narrow, partitions=1, max_message_bytes="6000")
    worker = start(
        topic=narrow,
        linger_milliseconds=200,
        kafka_queue_buffering_max_messages=ROOM if away else 1_000,
    )
    worker(NOISE)
    worker("lai.update_session(task='first', session_id='s')")
    deliver_all(worker)
    with frozen(victim):
        worker(FILL.format(100))
        worker("lai.update_session(task=noise, session_id='s')")
        worker(FILL.format(100))
    worker("lai.flush(20)")
    stats = worker.stats()
    worker("lai.update_session(session_eval=1, session_id='s')")
    deliver_all(worker)
    assert (stats["delivered"], stats["dropped"]) == (201, 1)
    assert tasks(victim, narrow) == last_of(100) | {"s": "first"}
    assert [dropped for _, dropped in worker("failures") if dropped] == [1]
    assert sum(event["lost_before"] for event in found(victim, narrow)) == 1


def test_a_damaged_event_in_the_file_of_a_living_process(
    victim: KafkaBroker, name: str, start: Start, spool: Path
) -> None:
    """It is set aside and counted as dropped; the others are sent, and flush comes to an end."""
    worker = start()
    with frozen(victim):
        worker(FILL.format(300))
        worker.until("spooled > 150")
        [path] = spool.glob("*.spool")
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            byte = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte[0] ^ 0x40]))
    worker("lai.flush(20)")
    stats = worker.stats()
    assert (stats["delivered"], stats["dropped"], stats["spooled"]) == (299, 1, 0)
    assert worker("lai.flush(20)")
    assert len(found(victim, name)) == 299


def test_a_session_that_goes_to_and_fro(
    victim: KafkaBroker, name: str, start: Start, spool: Path
) -> None:
    """What a process says of a session waits for what another kept of it since it last had it."""
    one = start()
    one("lai.init(session_id='s', task='0', auto_end=False)")
    deliver_all(one)
    two = start()
    with frozen(victim):
        two("lai.init(session_id='s', auto_end=False)")
        two("for n in range(1, 250): lai.update_session(task=str(n), session_id='s')")
        two.until("spooled > 100")
        one("lai.init(session_id='s', task='250', auto_end=False)")
        one("lai.update_session(task='251')")
    deliver_all(two)
    deliver_all(one)
    assert tasks(victim, name) == {"s": "251"}
    assert list(spool.iterdir()) == []


def fill_the_disk(worker: Remote) -> None:
    """Let it spool something, and be stopped by a full disk in the middle of the rest."""
    limit(worker, 20_000)
    worker(FILL.format(200))
    worker.until("spooled >= 100")
    worker(FILL.format(200))
    worker.until("accepted == 400")


def limit(worker: Remote, size: int) -> None:
    """Let no file of the worker grow beyond ``size`` bytes, as if the disk were full."""
    worker("import resource")
    worker(f"resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, resource.RLIM_INFINITY))")


def make_unusable(spool: Path, what: str) -> None:
    """Put something in the directory's place that nobody can do anything with."""
    if spool.exists():
        spool.rmdir()
    spool.parent.mkdir(exist_ok=True)
    UNUSABLE[what](spool)


def delete(spool: Path) -> None:
    """Delete the spool directory with all that is in it."""
    for path in spool.iterdir():
        path.unlink()
    spool.rmdir()


def on_disk(spool: Path) -> int:
    """Return how many calls the events carry that are in files."""
    return sum(journal.waiting_calls for journal in journals(spool))
