"""Sending what others have left: in order, whole, and with a word on what was not sent."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionfold import spool
from sessionfold._publisher import DeliveryError, NotTakenError, OnDelivery
from sessionfold._spooling.delivery import Delivery
from sessionfold._spooling.journal import Entry, Header, Journal
from sessionfold._spooling.sending import Sending, Sent
from sessionfold._spooling.spool import Destination
from sessionfold.testing import MemoryPublisher, MemoryRecord
from tests.unit.sdk.journals import entry, posix
from tests.unit.sdk.spools import HERE, left
from tests.unit.sdk.spools import spool as spool_of

_REFUSED = "too large"


class Answering(MemoryPublisher):
    """Delivers, refuses or fails each request as ``answer`` says, and logs what is delivered."""

    def __init__(self, answer: Callable[[list[bytes]], str | None], log: list[bytes]) -> None:
        super().__init__()
        self._answer = answer
        self._log = log
        self._queued: list[tuple[OnDelivery, MemoryRecord]] = []

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Keep one event until the next poll."""
        self._queued.append((on_delivery, MemoryRecord(key, value)))

    def poll(self, timeout_seconds: float, *, hurry: bool = False) -> None:
        """Answer what waits, as one request."""
        queued, self._queued = self._queued, []
        error = self._answer([record.value() for _, record in queued])
        for on_delivery, record in queued:
            if error is None:
                self._log.append(record.value())
            on_delivery(error, record)

    def close(self) -> None:
        """Give up what waits."""
        queued, self._queued = self._queued, []
        for on_delivery, record in queued:
            on_delivery("closed", record)

    def is_refusal(self, error: DeliveryError) -> bool:
        """Say whether it is about an event of the request."""
        return str(error) == _REFUSED


class Full(Answering):
    """Takes no event."""

    def publish(self, key: bytes, value: bytes, on_delivery: OnDelivery) -> None:
        """Refuse, for now."""
        raise NotTakenError("the queue is full")


class Failed(Answering):
    """Has met an error that it cannot recover from."""

    def has_failed(self) -> bool:
        """Say so."""
        return True


def send(
    where: Path,
    answer: Callable[[list[bytes]], str | None] = lambda _: None,
    make: type[Answering] = Answering,
    on_progress: Callable[[int], None] = lambda _: None,
) -> tuple[Sent, list[bytes]]:
    """Send what lies there; return what is said of it, and the values delivered, in order."""
    log: list[bytes] = []
    found = spool.status(where)
    waiting = found.waiting_for(HERE.topic, HERE.bootstrap_servers)
    delivery = Delivery(lambda: make(answer, log), 0.2, on_progress)
    sending = Sending(where, HERE, waiting, delivery)
    sending.run()
    return sending.sent(), log


def values(*entries: Entry) -> list[bytes]:
    """Return what is published of these."""
    return [each.value for each in entries]


def test_each_file_is_sent_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    """And is gone with its lock when it is delivered."""
    where = tmp_path / "spool"
    left(where, entry(2), entry(1), entry(3))
    sent, log = send(where)
    assert log == values(entry(1), entry(2), entry(3))
    assert (sent.files, sent.delivered, sent.is_complete) == (1, 3, True)
    assert list(where.iterdir()) == []


def test_a_file_comes_behind_those_that_it_has_to_wait_for(tmp_path: Path) -> None:
    """Whatever their names; one that never comes is said, and nothing of what waits is sent."""
    where = tmp_path / "spool"
    first = left(where, entry(1), producer_id="z")
    later = spool_of(where, "a")
    later.create(behind=[first.name]).append([entry(2)])
    later.close()
    lasting = spool_of(where, "b")
    lasting.create(behind=["0" * 16 + "-x-0.spool", first.name]).append([entry(3)])
    lasting.close()
    sent, log = send(where)
    assert log == values(entry(1), entry(2), entry(3))
    with_owner = spool_of(where, "z")
    owned = with_owner.create()
    owned.append([entry(4)])
    waiting = spool_of(where, "a")
    waiting.create(behind=[owned.path.name]).append([entry(5)])
    waiting.close()
    sent, log = send(where)
    with_owner.close()
    assert log == []
    assert sent.is_complete
    [kept] = sent.left
    assert kept.reason == f"it has to wait for {owned.path.name}"


def test_one_event_that_is_too_large_is_refused_alone(tmp_path: Path) -> None:
    """A broker refuses the whole request that it is in; its neighbours are sent again by one."""
    where = tmp_path / "spool"
    left(where, *(entry(number) for number in range(5)))
    left(where, entry(7), producer_id="later")
    large = entry(2).value
    sent, log = send(where, lambda request: _REFUSED if large in request else None)
    assert log == values(*(entry(number) for number in (0, 1, 3, 4, 7)))
    assert (sent.delivered, sent.refused, sent.refusal) == (5, 1, _REFUSED)
    assert not sent.is_complete
    assert list(where.iterdir()) == []


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (Answering, "the broker acknowledged nothing for 0.2 s (broker away)"),
        (Full, "the broker acknowledged nothing for 0.2 s"),
        (Failed, "the Kafka client has failed"),
    ],
)
def test_what_is_not_taken_stays(tmp_path: Path, make: type[Answering], why: str) -> None:
    """All of it, for another time, with the broker's last reason."""
    where = tmp_path / "spool"
    files = [left(where, entry(1), entry(2), producer_id=each) for each in ("a", "b")]
    sent, log = send(where, lambda _: "broker away", make)
    assert (sent.files, sent.delivered, log) == (0, 0, [])
    assert [each.name for each in sent.left] == [path.name for path in files]
    assert {(each.updates, each.is_failure, each.reason) for each in sent.left} == {(2, True, why)}
    again, log = send(where)
    assert (again.files, again.delivered) == (2, 4)
    assert log == values(entry(1), entry(2)) * 2


def test_an_interruption_keeps_what_is_delivered(tmp_path: Path) -> None:
    """Ctrl+C in the middle: what is sent again is what was not acknowledged."""
    where = tmp_path / "spool"
    left(where, *(entry(number) for number in range(9_000)))

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt  # the first events are delivered, and none is marked

    with pytest.raises(KeyboardInterrupt):
        send(where, on_progress=interrupt)
    [file] = spool.status(where).files
    assert 0 < file.events < 9_000
    assert not file.owner_alive
    sent, log = send(where)
    assert log == values(*(entry(number) for number in range(9_000)))[-file.events :]
    assert sent.is_complete


def test_damage_is_set_aside_and_the_rest_is_sent(tmp_path: Path) -> None:
    """How much it is, is said."""
    where = tmp_path / "spool"
    path = left(where, entry(1), entry(2), entry(3))
    content = bytearray(path.read_bytes())
    content[-60] ^= 1
    path.write_bytes(content)
    sent, log = send(where)
    assert log == values(entry(1), entry(3))
    assert sent.is_complete
    assert spool.status(where).damaged == {path.name: sent.damaged_bytes}


@posix
def test_any_number_of_files_needs_few_descriptors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host of short jobs leaves hundreds after a long outage."""
    where = tmp_path / "spool"
    for number in range(100):
        left(where, entry(number), producer_id=f"p{number:03}")
    open_at_most = 0

    def count(_: int) -> None:
        nonlocal open_at_most
        open_at_most = max(open_at_most, len(os.listdir("/dev/fd")))  # noqa: PTH208

    before = len(os.listdir("/dev/fd"))  # noqa: PTH208
    sent, _ = send(where, on_progress=count)
    assert sent.files == 100
    assert open_at_most <= before + 4


def test_what_is_for_elsewhere_by_its_content_is_left(tmp_path: Path) -> None:
    """A file under the name of another destination is not sent there, nor forgotten."""
    where = tmp_path / "spool"
    elsewhere = Destination(topic="others", bootstrap_servers="b")
    path = left(where, entry(1))
    wrong = where / path.name.replace(HERE.name(), elsewhere.name())
    journal = Journal.create(wrong, Header(topic="t", bootstrap_servers="b", producer_id="gone"))
    journal.append([entry(2)])
    journal.close()
    found = spool.status(where)
    sending = Sending(
        where, elsewhere, found.waiting_for("others", "b"), Delivery(MemoryPublisher, 1, print)
    )
    sending.run()
    [kept] = sending.sent().left
    assert (kept.name, kept.updates, kept.is_failure) == (wrong.name, 1, True)
    assert wrong.exists()
