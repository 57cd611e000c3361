"""Calls at the worst of moments, one at a time: in the first one, in callbacks, in a full queue."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.processes import run


def test_a_call_may_come_in_the_middle_of_the_first_one(tmp_path: Path) -> None:
    """From a signal handler or a finalizer, while the first one imports what it needs."""
    run(
        """
        import sys
        import sessionfold as lai
        lai.configure(exit_timeout_seconds=0)
        def break_in(event, arguments):
            if event == "import" and arguments[0] == "importlib.resources.readers":
                lai.update_session(task="t", session_id="within")
        sys.addaudithook(break_in)
        lai.init()
        lai.shutdown(0)
        """,
        spool=tmp_path,
    )


def test_a_call_may_come_while_the_client_is_made(tmp_path: Path) -> None:
    """There is one client in the end, and it has the books on that call, too."""
    run(
        """
        import sessionfold as lai

        class Settings(dict):
            def items(self):
                lai.update_session(task="t", session_id="within")
                return super().items()

        try:
            lai.configure(kafka=Settings({"client.id": "a"}), exit_timeout_seconds=0)
        except lai.ConfigurationError:
            pass
        lai.init()
        assert lai.stats().accepted == 2, lai.stats()
        lai.shutdown(0)
        """,
        spool=tmp_path,
    )


def test_making_the_client_says_nothing_with_its_lock_held(tmp_path: Path) -> None:
    """A log handler that calls the SDK while another thread makes the client waits for that."""
    run(
        """
        import faulthandler, logging, threading, time
        import sessionfold as lai
        faulthandler.dump_traceback_later(10, exit=True)
        logging_line, making = threading.Event(), threading.Event()

        class Handler(logging.Handler):
            def emit(self, record):
                if record.name == "line":
                    logging_line.set()
                    making.wait()
                    lai.update_session(task="t", session_id="log")

        class Settings(dict):
            def items(self):
                making.set()
                time.sleep(0.5)
                return super().items()

        def make():
            logging_line.wait()
            lai.configure(
                kafka=Settings({"client.id": "a"}), flush_on_sigterm=True, exit_timeout_seconds=0
            )

        logging.getLogger().addHandler(Handler())
        threads = [
            threading.Thread(target=logging.getLogger("line").warning, args=["line"]),
            threading.Thread(target=make),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lai.shutdown(0)
        """,
        spool=tmp_path,
    )


def test_a_callback_that_waits_for_the_sdk_does_not_keep_it_from_its_work(tmp_path: Path) -> None:
    """It runs where the work is done: what it waits for cannot come."""
    run(
        """
        import time
        import sessionfold as lai
        waited = []
        def on_failure(failure):
            begun = time.monotonic()
            assert lai.flush(8) is False
            lai.update_session(task="t", session_id="b")
            lai.end_session(session_id="b", wait_for_flush=True)
            waited.append(time.monotonic() - begun)
        lai.configure(on_failure=on_failure, on_full="drop", queue_events=1)
        while not waited:
            lai.update_session(task="t", session_id=f"a{time.monotonic()}")
            time.sleep(0.01)
        lai.shutdown(0)
        assert waited[0] < 4, waited
        """,
        spool=tmp_path,
    )


def test_a_callback_that_exits_does_not_stop_the_sdk(tmp_path: Path) -> None:
    """``SystemExit`` in a thread ends it silently; everything would wait for ever."""
    run(
        """
        import sys, time
        import sessionfold as lai
        called = []
        def on_failure(failure):
            called.append(failure)
            sys.exit("stop")
        lai.configure(on_failure=on_failure, on_full="drop", queue_events=1)
        while not called:
            lai.update_session(task="t", session_id=f"a{time.monotonic()}")
            time.sleep(0.01)
        lai.shutdown(1)
        stats = lai.stats()
        assert (stats.in_flight, stats.dropped) == (0, stats.accepted), stats
        """,
        spool=tmp_path,
    )


BLOCKED = """
    import signal, threading, time
    import sessionfold as lai
    lai.configure(on_full="block", block_seconds=10, queue_events=1, exit_timeout_seconds=0)
    lai.init()
    lai.update_session(task="t", session_id="first")
    def balance():
        stats = lai.stats()
        parts = stats.delivered + stats.spooled + stats.dropped + stats.in_flight
        assert (stats.accepted, stats.in_flight >= 0) == (parts, True), stats
"""


def test_the_books_balance_while_a_call_waits_for_room(tmp_path: Path) -> None:
    """An update is accepted when it has found its place, or is dropped."""
    run(
        BLOCKED
        + """
    waiting = threading.Thread(target=lai.update_session, args=["t"], daemon=True)
    waiting.start()
    time.sleep(0.5)
    assert waiting.is_alive()
    balance()
    lai.shutdown(0)
    balance()
    """,
        spool=tmp_path,
    )


def test_ctrl_c_while_a_call_waits_for_room(tmp_path: Path) -> None:
    """It is the caller's, and what waited is not accepted."""
    run(
        BLOCKED
        + """
    def interrupt(*_):
        raise KeyboardInterrupt
    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    try:
        for number in range(10):
            lai.update_session(task="t", session_id=f"s{number}")
    except KeyboardInterrupt:
        balance()
        lai.shutdown(0)
        balance()
        assert lai.stats().in_flight == 0
    else:
        raise SystemExit("not interrupted")
    """,
        spool=tmp_path,
    )


def test_a_full_queue_costs_no_processor_time(tmp_path: Path) -> None:
    """While nothing can be sent, nothing is tried all the time."""
    run(
        """
        import time
        import sessionfold as lai
        lai.configure(on_full="drop", queue_events=200, exit_timeout_seconds=0)
        for number in range(400):
            lai.update_session(task="t", session_id=f"s{number}")
        time.sleep(0.5)
        before = time.process_time()
        time.sleep(1)
        used = time.process_time() - before
        assert used < 0.05, used
        """,
        spool=tmp_path,
    )
