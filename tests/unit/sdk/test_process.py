"""The end of a process, and a fork: whole programs, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from .line_publisher import run

Line = dict[str, Any]


def ends(lines: list[Line]) -> list[tuple[str, Any]]:
    """Return which sessions were ended, and with which opinion on success."""
    return [
        (line["session_id"], line.get("is_successful"))
        for line in lines
        if line.get("is_finished") is True
    ]


def test_sessions_that_are_open_at_exit_are_ended_without_an_opinion() -> None:
    """Then the client is closed, which delivers."""
    lines = run("lai.init(session_id='a'); lai.init(session_id='b')")
    assert ends(lines) == [("a", None), ("b", None)]
    assert lines[-1]["closed"] is True
    assert all(line["ended_at"] > 0 for line in lines if line.get("is_finished"))


def test_a_session_without_auto_end_stays_open() -> None:
    """As does one that was ended already, or that this process did not begin."""
    lines = run(
        "lai.init(session_id='kept', auto_end=False)\n"
        "lai.init(session_id='done'); lai.end_session(is_successful=True)\n"
        "lai.update_session(task='t', session_id='elsewhere')\n"
    )
    assert ends(lines) == [("done", True)]
    assert lines[-1]["closed"] is True


def test_a_crash_reports_no_success() -> None:
    """And keeps its exit code."""
    lines = run("lai.init(session_id='a'); lai.update_session(task='t'); 1 / 0", exit_code=1)
    assert ends(lines) == [("a", None)]


@pytest.mark.parametrize("code", [0, 3])
def test_the_exit_code_is_the_programs(code: int) -> None:
    """Whatever is still to be done at the end."""
    assert ends(run(f"lai.init(session_id='a'); sys.exit({code})", exit_code=code))


def test_a_killed_process_leaves_its_sessions_open() -> None:
    """That is the truth: nothing ran any more."""
    lines = run("lai.init(session_id='a'); lai.flush(); os._exit(9)", exit_code=9)
    assert [line.get("is_finished") for line in lines] == [False]


def test_after_shutdown_calls_raise_and_the_accounts_stay() -> None:
    """Nothing is published behind it, also not at exit; configure() starts anew.

    A flush that said True would say that nothing was lost.
    """
    lines = run(
        "lai.init(session_id='a')\n"
        "lai.shutdown()\n"
        "for call in (lai.init, lai.update_session, lai.end_session, lai.flush):\n"
        "    try: call()\n"
        "    except lai.ClosedError as error: assert 'configure()' in str(error)\n"
        "    else: raise SystemExit(5)\n"
        "assert lai.stats().accepted == lai.stats().delivered == 2\n"
        "lai.shutdown()\n"
        "install()\n"
        "assert lai.flush()\n"
        "lai.init(session_id='b')\n"
    )
    told = [line.get("session_id", "closed") for line in lines]
    assert told == ["a", "a", "closed", "b", "b", "closed"]


def test_shutdown_ends_the_sessions_of_this_process_as_its_exit_does() -> None:
    """Without an opinion, and before it delivers: nothing could end them behind it."""
    lines = run(
        "lai.init(session_id='kept', auto_end=False)\n"
        "lai.init(session_id='done'); lai.end_session(is_successful=True)\n"
        "lai.update_session(task='t', session_id='elsewhere')\n"
        "lai.init(session_id='a'); lai.init(session_id='b')\n"
        "lai.shutdown()\n"
        "assert lai.get_session_id() == 'kept'\n"
        "lai.shutdown()\n"
    )
    assert ends(lines) == [("done", True), ("a", None), ("b", None)]
    assert [line for line in lines if "closed" in line] == [lines[-1]]


def test_a_session_that_shutdown_left_open_goes_on_with_the_next_client() -> None:
    """It is current as before; one that was ended is not."""
    lines = run(
        "lai.init(session_id='kept', auto_end=False); lai.init(session_id='ended')\n"
        "lai.shutdown()\n"
        "install()\n"
        "lai.update_session(task='t')\n"
    )
    assert [line.get("session_id") for line in lines if "task" in line] == ["kept"]
    assert ends(lines) == [("ended", None)]


def test_a_block_that_was_shut_down_within_lets_its_exception_go_on() -> None:
    """The error of the body is what the caller must see."""
    lines = run(
        "try:\n"
        "    with lai.session(session_id='a'):\n"
        "        lai.shutdown()\n"
        "        raise KeyError\n"
        "except KeyError: pass\n"
    )
    assert ends(lines) == [("a", None)]


def test_a_client_can_be_configured_once() -> None:
    """A second time is an error that says so."""
    run(
        "try: lai.configure(topic='other')\n"
        "except lai.ConfigurationError as error: assert 'already in use' in str(error)\n"
        "else: raise SystemExit(5)\n"
    )


FORK = """
import threading
lai.init(session_id='parents', masking_function=str.upper)
lai.flush()
child = os.fork()
if child == 0:
    {child}
    sys.exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
lai.update_session(task='parent')
"""


def test_a_forked_child_goes_on_with_a_client_of_its_own() -> None:
    """It has its own producer and count, and may go on with the parent's session."""
    body = (
        "lai.update_session(task='child'); lai.flush();"
        "assert lai.stats() == lai.Stats(accepted=1, delivered=1), lai.stats()"
    )
    first, child, closed, parent = run(FORK.format(child=body))[:4]
    assert (child["task"], child["session_id"], child["sequence"]) == ("CHILD", "parents", 0)
    assert closed["pid"] == child["pid"] != first["pid"] == parent["pid"]
    assert child["producer_id"] != first["producer_id"] == parent["producer_id"]
    assert parent["sequence"] == 1


def test_a_forked_child_knows_its_parents_sessions() -> None:
    """By ID, with their mask, and in its threads: there is one that is open."""
    body = """lai.update_session(task='a', session_id='parents')
    thread = threading.Thread(target=lai.update_session, args=['b'])
    thread.start(); thread.join()"""
    assert [line.get("task") for line in run(FORK.format(child=body))[1:3]] == ["A", "B"]


def test_a_forked_child_does_not_tell_its_parents_losses() -> None:
    """They would be counted twice."""
    lines = run(
        "lai.init(session_id='a')\n"
        "lai.flush(); LinePublisher.refuses = True; lai.update_session(task='lost'); lai.flush()\n"
        "LinePublisher.refuses = False\n"
        "child = os.fork()\n"
        "if child == 0: lai.update_session(task='child'); sys.exit(0)\n"
        "os.waitpid(child, 0)\n"
        "lai.update_session(task='parent')\n"
    )
    assert {line["task"]: line["lost_before"] for line in lines if "task" in line} == {
        "child": 0,
        "parent": 1,
    }


def test_a_forked_child_ends_its_own_sessions_only() -> None:
    """The parent's are the parent's to end."""
    lines = run(FORK.format(child="lai.init(session_id='childs')"))
    assert ends(lines) == [("childs", None), ("parents", None)]


def test_a_forked_child_ends_what_it_resumed() -> None:
    """A session that it began again is its own."""
    lines = run(FORK.format(child="lai.init(session_id='parents')"))
    child = lines[1]["pid"]
    assert [line["pid"] for line in lines if line.get("is_finished")] == [child, lines[0]["pid"]]


def test_a_forked_child_does_not_end_the_block_that_it_leaves() -> None:
    """It leaves it by an exit of its own, while the parent is still in it."""
    lines = run(
        "with lai.session(session_id='parents'):\n"
        "    lai.flush()\n"
        "    child = os.fork()\n"
        "    if child == 0: lai.update_session(task='child'); sys.exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    lai.update_session(task='parent')\n"
    )
    told = [line.get("task", line.get("is_finished")) for line in lines if "closed" not in line]
    assert told == [False, "child", "parent", True]


def test_a_forked_child_that_calls_nothing_publishes_nothing() -> None:
    """Not even at its end; which session is current, it knows."""
    body = """found = [lai.get_session_id()]
    thread = threading.Thread(target=lambda: found.append(lai.get_session_id()))
    thread.start(); thread.join()
    assert found == ['parents'] * 2, found"""
    lines = run(FORK.format(child=body))
    assert len({line["pid"] for line in lines}) == 1


def test_a_fork_while_another_thread_makes_a_client_does_not_hang() -> None:
    """Nor the one that guards the making."""
    run(
        "import threading, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)  # of forking with threads\n"
        "from sessionfold import _process\n"
        "held, done = threading.Event(), threading.Event()\n"
        "def hold():\n"
        "    with _process._lock: held.set(); done.wait()\n"
        "thread = threading.Thread(target=hold); thread.start(); held.wait()\n"
        "child = os.fork()\n"
        "if child == 0: lai.init(); os._exit(0)\n"
        "assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "done.set(); thread.join()\n"
    )


def test_a_fork_while_another_thread_publishes_does_not_hang() -> None:
    """The child takes no lock of the parent's."""
    run(
        "import threading, warnings\n"
        "warnings.simplefilter('ignore', DeprecationWarning)  # of forking with threads\n"
        "lai.init(session_id='a', auto_end=False)\n"
        "stop = threading.Event()\n"
        "def publish():\n"
        "    while not stop.is_set(): lai.update_session(task='t')\n"
        "thread = threading.Thread(target=publish); thread.start()\n"
        "for _ in range(20):\n"
        "    child = os.fork()\n"
        "    if child == 0: lai.update_session(task='c', session_id='a'); os._exit(0)\n"
        "    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0\n"
        "stop.set(); thread.join()\n"
    )


def test_ctrl_c_while_the_end_waits_for_a_broker_ends_it_quietly() -> None:
    """The exit code is the worker's own, and nobody has to read a traceback of ours."""
    worker = (
        "import sessionfold as lai\n"
        "lai.configure(bootstrap_servers='127.0.0.1:9', exit_timeout_seconds=30)\n"
        "lai.init(session_id='a')\n"
        "print('done', flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", worker], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "done\n"
        time.sleep(0.5)  # until it waits
        process.send_signal(signal.SIGINT)
        _, words = process.communicate(timeout=20)
    assert (process.returncode, words) == (0, "")
