"""Nothing is lost silently: the accounts balance, and losses reach the consumer."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sessionfold as lai
from sessionfold import _process

from .held import HeldPublisher, held

QUEUE = 5
SESSIONS = ("a", "b", "c")


def balance() -> lai.Stats:
    """Return the accounts after checking that they add up."""
    stats = lai.stats()
    assert stats.accepted == stats.delivered + stats.spooled + stats.dropped + stats.in_flight
    return stats


operations = st.one_of(
    st.tuples(st.just("init"), st.sampled_from(SESSIONS)),
    st.tuples(st.just("update"), st.sampled_from(SESSIONS)),
    st.tuples(st.just("update"), st.sampled_from(SESSIONS)),
    st.tuples(st.just("interrupted"), st.sampled_from(SESSIONS)),
    st.tuples(st.just("end"), st.sampled_from(SESSIONS)),
    st.tuples(st.just("deliver"), st.integers(1, 4)),
    st.tuples(st.just("fail"), st.integers(1, 4)),
    st.tuples(st.just("capacity"), st.sampled_from((None, 3, 8))),
    st.tuples(st.just("refuses"), st.sampled_from((None, "fatal"))),
    st.tuples(st.just("flush"), st.none()),
)


def perform(operation: str, argument: Any, publisher: HeldPublisher, made: Counter[str]) -> None:  # noqa: ANN401
    """Do one operation, and count what a session has given to the SDK."""
    match operation:
        case "init":
            lai.init(session_id=argument)
        case "update":
            lai.update_session(task="t", session_id=argument)
        case "interrupted":
            publisher.interruption = lambda: perform("update", argument, publisher, made)
            lai.update_session(task="t", session_id=argument)
            publisher.interruption = None
        case "end":
            lai.end_session(session_id=argument)
        case "deliver":
            publisher.deliver(argument)
        case "fail":
            publisher.fail(argument)
        case "flush":
            lai.flush(0)
        case _:
            setattr(publisher, operation, argument)
    made[argument] += operation in ("init", "update", "interrupted", "end")


@given(st.lists(operations, max_size=60))
def test_the_accounts_balance_at_every_moment(log: list[tuple[str, Any]]) -> None:
    """And every update is either delivered, or counted in a later event's ``lost_before``."""
    made: Counter[str] = Counter()
    with held(queue_events=QUEUE) as publisher:
        for operation, argument in log:
            perform(operation, argument, publisher, made)
            stats = balance()
            assert stats.in_flight == publisher.waiting
            assert stats.accepted == sum(made[session] for session in SESSIONS)
        publisher.capacity = publisher.refuses = None
        publisher.deliver()
        for session in SESSIONS:
            perform("update", session, publisher, made)
        publisher.deliver()
        assert balance().in_flight == 0
    told: Counter[str] = Counter()
    for event in publisher.delivered:
        assert event["lost_before"] >= 0
        told[event["session_id"]] += 1 + event["lost_before"]
    assert {session: told[session] for session in SESSIONS} == {
        session: made[session] for session in SESSIONS
    }


def test_a_full_queue_drops_updates_and_the_next_event_says_how_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The caller is not stopped; the log says it once."""
    with held(queue_events=2) as publisher:
        lai.init(session_id="a")
        for number in range(5):
            lai.update_session(task=f"t{number}")
        assert balance().dropped == 4
        publisher.deliver()
        lai.update_session(task="room again")
        publisher.deliver()
        lai.update_session(task="nothing lost since")
        publisher.deliver()
    assert [event.get("task") for event in publisher.delivered[1:]] == [
        "t0", "room again", "nothing lost since",
    ]  # fmt: skip
    assert [event["lost_before"] for event in publisher.delivered] == [0, 0, 4, 0]
    assert [event["sequence"] for event in publisher.delivered] == [0, 1, 6, 7]
    assert caplog.messages == [
        "updates are dropped from now on, counted in stats() and lost_before: the queue is full"
    ]


@pytest.mark.parametrize("inner", [None, "refused"])
@pytest.mark.parametrize("outer", [None, "refused"])
def test_a_call_that_interrupts_another_tells_no_loss_twice(
    inner: str | None, outer: str | None
) -> None:
    """As a signal handler's may; nor is a loss forgotten, whichever of the two is taken."""
    with held() as publisher:
        lai.init(session_id="a")

        def interrupt() -> None:
            publisher.refuses = inner
            lai.update_session(task="inner")
            publisher.refuses = outer

        publisher.refuses = "refused"
        lai.update_session(task="lost")
        publisher.interruption = interrupt
        lai.update_session(task="outer")
        assert len(_process.client()._owing) == (inner is not None or outer is not None)
        publisher.refuses = None
        lai.update_session(task="last")
        assert _process.client()._owing == set()
        publisher.deliver()
    told = {event.get("task"): event["lost_before"] for event in publisher.delivered[1:]}
    expected = {
        (None, None): {"inner": 0, "outer": 1, "last": 0},
        ("refused", None): {"outer": 1, "last": 1},
        (None, "refused"): {"inner": 0, "last": 2},
        ("refused", "refused"): {"last": 3},
    }
    assert told == expected[inner, outer]


def test_init_and_end_find_room_where_an_update_does_not() -> None:
    """The events that say that a session is open or over are not dropped first."""
    with held(queue_events=1) as publisher:
        lai.init(session_id="a")
        lai.update_session(task="dropped")
        lai.init(session_id="b")
        lai.end_session()
        assert balance().dropped == 1
        publisher.deliver()
    assert [event.get("is_finished") for event in publisher.delivered] == [False, False, True]


def test_an_update_finds_the_room_that_reports_have_made() -> None:
    """Reports that came but were not yet counted make room, too."""
    with held(queue_events=1) as publisher:
        lai.init(session_id="a")
        (record, on_delivery), = publisher._oldest(1)  # fmt: skip
        on_delivery(None, record)
        lai.update_session(task="t")
        assert balance() == lai.Stats(accepted=2, delivered=1, in_flight=1)


def test_an_event_that_the_client_refuses_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    """A client that has failed for good does not stop the worker either."""
    with held() as publisher:
        publisher.refuses = "the broker is not amused"
        lai.init(session_id="a")
        lai.update_session(task="t")
        lai.end_session()
        assert balance().dropped == 3
        assert [lai.flush(0), lai.flush(0)] == [False, True]
    assert caplog.messages[0].endswith("lost_before: the broker is not amused")
    assert len(caplog.messages) == 1


def test_events_that_could_not_be_delivered_are_counted_in_the_next(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """With the losses that they themselves had carried."""
    with held(queue_events=3) as publisher:
        lai.init(session_id="a")
        for _ in range(5):
            lai.update_session(task="t")
        publisher.deliver()
        lai.update_session(task="carries 3")
        publisher.fail(error="timed out")
        lai.update_session(task="carries 4")
        publisher.deliver()
        assert balance() == lai.Stats(accepted=8, delivered=4, dropped=4)
    assert publisher.delivered[-1]["lost_before"] == 4
    assert caplog.messages[0].endswith("lost_before: the queue is full")


def test_losses_are_each_sessions_own() -> None:
    """Also of sessions that this process did not begin."""
    with held(queue_events=2) as publisher:
        for session in ("a", "b", "a", "b", "b"):
            lai.update_session(task="t", session_id=session)
        publisher.deliver()
        lai.update_session(task="t", session_id="a")
        lai.update_session(task="t", session_id="b")
        publisher.deliver()
    found = [(event["session_id"], event["lost_before"]) for event in publisher.delivered]
    assert found == [("a", 0), ("b", 0), ("a", 1), ("b", 2)]


@pytest.mark.parametrize("loss", ["dropped", "failed"])
def test_a_session_that_owes_a_loss_is_not_forgotten(loss: str) -> None:
    """However many other sessions come after it; once it has told, it may be."""
    with held(queue_events=1) as publisher:
        if loss == "dropped":
            lai.update_session(task="t", session_id="first")
        lai.update_session(task="lost", session_id="owing")
        publisher.deliver() if loss == "dropped" else publisher.fail()
        for number in range(3_000):
            lai.update_session(task="t", session_id=f"s{number}")
            publisher.deliver()
        lai.update_session(task="t", session_id="owing")
        publisher.deliver()
        assert _process.client()._owing == set()
    assert publisher.delivered[-1]["lost_before"] == 1


def test_sessions_that_are_over_are_forgotten() -> None:
    """A process that begins sessions for ever keeps some thousand of them."""
    with held() as publisher:
        for _ in range(3_000):
            lai.init()
            lai.end_session()
            publisher.deliver()
        gc.collect()
        client = _process.client()
        assert len(client._known) <= 1_100
        publisher.refuses = "for good"
        lai.init()
        lai.end_session()
        assert client._owing == set()
        assert len(client.open_sessions) == 0


class TestFlush:
    """``flush`` and ``wait_for_flush``."""

    def test_flush_is_true_when_everything_was_delivered(self) -> None:
        """At once, when nothing waits."""
        with held() as publisher:
            assert lai.flush(0)
            lai.init()
            assert not lai.flush(0)
            publisher.deliver()
            assert lai.flush(0)

    def test_flush_waits_for_what_was_accepted_before_it(self) -> None:
        """Not for what other threads go on to publish."""
        with held() as publisher:
            lai.init(session_id="a")
            flushed: list[bool] = []
            waiting = threading.Thread(target=lambda: flushed.append(lai.flush(30)))
            waiting.start()
            while not _process.client()._settled_some._waiters:  # type: ignore[attr-defined]
                time.sleep(0)
            lai.update_session(task="later", session_id="a")
            publisher.deliver(1)
            waiting.join(10)
            assert not waiting.is_alive()
            assert flushed == [True]
            assert balance().in_flight == 1

    def test_flush_tells_once_of_what_was_dropped(self) -> None:
        """Given up before the flush, or while it waits; the next one starts anew."""
        with held(queue_events=1) as publisher:
            lai.init(session_id="a")
            lai.update_session(task="dropped")
            publisher.deliver()
            assert not lai.flush(0)
            assert lai.flush(0)
            lai.update_session(task="t")
            publisher.fail()
            assert not lai.flush(0)
            assert lai.flush(0)

    def test_flush_sees_what_was_reported_and_not_yet_counted(self) -> None:
        """A report of a failure that came in this very moment."""
        with held() as publisher:
            lai.init(session_id="a")
            (record, on_delivery), = publisher._oldest(1)  # fmt: skip
            on_delivery("timed out", record)
            assert not lai.flush(0)

    def test_flush_without_a_client_is_true(self) -> None:
        """Nothing was accepted, so nothing waits; and no client is made for it."""
        with _process.replaced(None):
            assert lai.flush(0)
            assert lai.stats() == lai.Stats()
            assert lai.get_session_id() is None
            assert _process.existing is None

    def test_an_end_that_waits_waits_for_its_own_session(self) -> None:
        """Until its events are delivered; those of others may still wait."""
        with held(end_timeout_seconds=30) as publisher:
            lai.init(session_id="a")
            own = lai.init(session_id="b")
            ended = threading.Thread(
                target=lai.end_session, kwargs={"session_id": own, "wait_for_flush": True}
            )
            ended.start()
            while publisher.waiting < 3:
                time.sleep(0)
            waiting, publisher._waiting = publisher._waiting, type(publisher._waiting)()
            first = waiting.popleft()
            publisher._waiting = waiting
            publisher.deliver()
            ended.join(10)
            assert not ended.is_alive()
            assert balance().in_flight == 1
            publisher._waiting.append(first)

    @pytest.mark.parametrize("end", ["end_session", "session", "session_async", "aend_session"])
    def test_with_the_setting_every_end_waits(self, end: str) -> None:
        """Until the broker has the session's events; the event loop goes on meanwhile."""
        with held(end_waits=True, end_timeout_seconds=30) as publisher:
            delivering = threading.Thread(target=_deliver_both, args=[publisher])
            delivering.start()
            if end == "end_session":
                lai.init()
                lai.end_session()
            elif end == "session":
                with lai.session():
                    pass
            else:
                asyncio.run(_end_in_a_loop(end))
            assert balance() == lai.Stats(accepted=2, delivered=2)
            delivering.join()

    @pytest.mark.parametrize("call", ["setting", "argument"])
    def test_the_wait_at_an_end_is_bounded(self, call: str) -> None:
        """With a broker that is away, the call returns all the same."""
        with held(end_timeout_seconds=0.01, end_waits=call == "setting") as publisher:
            lai.init()
            lai.end_session(wait_for_flush=None if call == "setting" else True)
            with lai.session():
                pass
            assert publisher.waiting == 4


def _deliver_both(publisher: HeldPublisher) -> None:
    while publisher.waiting < 2:
        time.sleep(0.001)
    time.sleep(0.05)
    publisher.deliver()


async def _end_in_a_loop(end: str) -> None:
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0.001)

    counting = asyncio.create_task(count_turns())
    if end == "session_async":
        async with lai.session_async():
            pass
    else:
        lai.init()
        await lai.aend_session()
    counting.cancel()
    assert turns > 1


def test_closing_gives_up_what_waits_and_says_how_much(caplog: pytest.LogCaptureFixture) -> None:
    """After the bound; the books are closed in balance."""
    with held() as publisher:
        lai.init(session_id="a")
        lai.update_session(task="t")
        client = _process.client()
        client.close(0.01)
        client.close(0.01)
        assert balance() == lai.Stats(accepted=2, dropped=2)
        with pytest.raises(lai.ClosedError):
            lai.update_session(task="t")
        assert balance().accepted == 2
        assert publisher.waiting == 0
    assert "2 events could not be delivered within 0.0 s" in caplog.messages


def test_a_log_handler_may_call_the_sdk() -> None:
    """It runs without any lock of the SDK: else it could wait for a thread that waits for it."""
    entered, answered = threading.Event(), threading.Event()
    answers: list[bool] = []

    class Handler(logging.Handler):
        def emit(self, _: logging.LogRecord) -> None:
            entered.set()
            answers.append(answered.wait(5))

    handler = Handler()
    logging.getLogger("sessionfold").addHandler(handler)
    try:
        with held(queue_events=1):
            lai.init(session_id="a")
            dropped = threading.Thread(
                target=lai.update_session, kwargs={"task": "t", "session_id": "a"}
            )
            dropped.start()
            assert entered.wait(30)
            assert balance().dropped == 1
            answered.set()
            dropped.join()
            assert answers == [True]
    finally:
        logging.getLogger("sessionfold").removeHandler(handler)


def test_many_threads_publish_without_a_gap() -> None:
    """Numbers are taken and events queued in one order."""
    with held() as publisher:
        lai.init(session_id="a")

        def work() -> None:
            for _ in range(500):
                lai.update_session(task="t", session_id="a")

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        publisher.deliver()
        assert balance().delivered == 2_001
    assert [event["sequence"] for event in publisher.delivered] == list(range(2_001))
