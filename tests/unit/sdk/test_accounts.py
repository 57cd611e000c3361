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
    calls: dict[str, Any] = {"init": lai.init, "end": lai.end_session}
    match operation:
        case "init" | "end":
            calls[operation](session_id=argument)
        case "update":
            lai.update_session(task="t", session_id=argument)
        case "interrupted":
            publisher.interruption = lambda: perform("update", argument, publisher, made)
            lai.update_session(task="t", session_id=argument)
            publisher.interruption = None
        case "deliver" | "fail":
            getattr(publisher, operation)(argument)
        case "flush":
            lai.flush(0)
        case _:
            setattr(publisher, operation, argument)
    if operation in {"init", "update", "interrupted", "end"}:
        made[argument] += 1


@given(st.lists(operations, max_size=60))
def test_the_accounts_balance_at_every_moment(log: list[tuple[str, Any]]) -> None:
    """And every update is either delivered, or counted in a later event's ``lost_before``."""
    made: Counter[str] = Counter()
    with held(queue_events=QUEUE) as publisher:
        for operation, argument in log:
            perform(operation, argument, publisher, made)
            stats = balance()
            assert stats.in_flight >= publisher.waiting
            assert stats.accepted == sum(made[session] for session in SESSIONS)
        publisher.capacity = publisher.refuses = publisher.interruption = None
        publisher.deliver_all()
        for session in SESSIONS:
            perform("update", session, publisher, made)
            publisher.deliver_all()
        stats = balance()
        assert stats.in_flight == 0
    told: Counter[str] = Counter()
    for event in publisher.delivered:
        assert event["lost_before"] >= 0
        told[event["session_id"]] += 1 + event["lost_before"]
    assert sum(told.values()) <= sum(made.values()) <= sum(told.values()) + stats.coalesced
    assert all(told[session] <= made[session] for session in SESSIONS)


def test_a_full_queue_drops_updates_and_the_next_event_says_how_many(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The caller is not stopped; the log says it once."""
    with held(queue_events=2) as publisher:
        lai.init(session_id="a")
        lai.update_session(task="taken", session_id="b")
        assert publisher.waiting == 1
        for number in range(4):
            lai.update_session(task=f"t{number}", session_id="c")
        assert balance().dropped == 4
        publisher.deliver_all()
        for task in ("room again", "nothing lost since"):
            lai.update_session(task=task, session_id="c")
            publisher.deliver_all()
    assert [(event.get("task"), event["lost_before"]) for event in publisher.delivered] == [
        (None, 0), ("taken", 0), ("room again", 4), ("nothing lost since", 0),
    ]  # fmt: skip
    assert [event["sequence"] for event in publisher.delivered] == [0, 5, 6, 7]
    assert caplog.messages == [
        "updates are dropped, counted in stats() and lost_before: the queue is full"
    ]


def test_in_a_nearly_full_queue_updates_of_a_session_join() -> None:
    """The last value of each field, in the place of the first that waits; the end stands alone."""
    with held(queue_events=16) as publisher:
        lai.init(session_id="a")
        for number in range(20):
            lai.update_session(session_eval=number)
        lai.update_session(task="last")
        lai.end_session(is_successful=True)
        assert balance() == lai.Stats(accepted=23, in_flight=23, coalesced=7)
        publisher.deliver_all()
        assert balance() == lai.Stats(accepted=23, delivered=23, coalesced=7)
    *_, joined, end = publisher.delivered
    assert (joined["session_eval"], joined["task"]) == (19, "last")
    assert (end["is_finished"], "task" in end) == (True, False)
    assert [event["sequence"] for event in publisher.delivered] == list(range(16))


def test_an_update_waits_for_room_where_that_is_wanted() -> None:
    """With a bound, after which it is dropped; a delivery makes room."""
    with held(queue_events=1, on_full="block", block_seconds=30) as publisher:
        lai.init(session_id="a")
        assert publisher.waiting == 1
        waiting = threading.Thread(target=lai.update_session, args=["t"], daemon=True)
        waiting.start()
        while not _process.client().inbox.waiters:
            time.sleep(0)
        publisher.deliver()
        waiting.join(10)
        assert not waiting.is_alive()
        assert balance() == lai.Stats(accepted=2, delivered=1, in_flight=1)
    with held(queue_events=1, on_full="block", block_seconds=0.01) as publisher:
        lai.init(session_id="a")
        assert publisher.waiting == 1
        lai.update_session(task="t")
        assert balance() == lai.Stats(accepted=2, in_flight=1, dropped=1)


def test_init_and_end_find_room_where_an_update_does_not() -> None:
    """The events that say that a session is open or over are not dropped first."""
    with held(queue_events=1) as publisher:
        lai.init(session_id="a")
        assert publisher.waiting == 1
        lai.update_session(task="dropped")
        lai.init(session_id="b")
        lai.end_session()
        assert balance().dropped == 1
        publisher.deliver_all()
    assert [event.get("is_finished") for event in publisher.delivered] == [False, False, True]


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
    with held() as publisher:
        lai.init(session_id="a")
        for task in ("lost", "carries 1"):
            publisher.deliver()
            lai.update_session(task=task)
            publisher.fail(error="timed out")
        lai.update_session(task="carries 2")
        publisher.deliver()
        assert balance() == lai.Stats(accepted=4, delivered=2, dropped=2)
    assert publisher.delivered[-1]["lost_before"] == 2
    assert caplog.messages[0].endswith("lost_before: timed out")


def test_losses_are_each_sessions_own() -> None:
    """Also of sessions that this process did not begin."""
    with held() as publisher:
        for session in ("a", "b", "b"):
            lai.update_session(task="t", session_id=session)
        publisher.fail()
        lai.update_session(task="t", session_id="a")
        lai.update_session(task="t", session_id="b")
        publisher.deliver()
    found = [(event["session_id"], event["lost_before"]) for event in publisher.delivered]
    assert found == [("a", 1), ("b", 2)]


@pytest.mark.parametrize("loss", ["dropped", "failed"])
def test_a_session_that_owes_a_loss_is_not_forgotten(loss: str) -> None:
    """However many other sessions come after it; once it has told, it may be."""
    with held(queue_events=1) as publisher:
        if loss == "dropped":
            lai.update_session(task="t", session_id="first")
            assert publisher.waiting == 1
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
            while not publisher.polled:
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
            assert publisher.waiting == 1
            lai.update_session(task="dropped")
            publisher.deliver()
            assert not lai.flush(0)
            assert lai.flush(0)
            lai.update_session(task="t")
            publisher.fail()
            assert not lai.flush(0)
            assert lai.flush(0)

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
            publisher._waiting.rotate(-1)
            publisher.deliver(2)
            ended.join(10)
            assert not ended.is_alive()
            assert balance().in_flight == 1

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
    assert caplog.messages[-1] == (
        "2 of 2 updates were not delivered by the end (after at most 0.0 s): 2 were dropped"
    )


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
        with held(threaded=True) as publisher:
            publisher.refuses = "for good"
            lai.init(session_id="a")
            assert entered.wait(30)
            lai.update_session(task="t")
            assert balance().accepted == 2
            answered.set()
            lai.flush(30)
            assert balance().dropped == 2
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
