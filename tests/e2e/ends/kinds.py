"""The kinds of process end: what each shall look like from outside, and what it may lose."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.ends import servers

OWN_TRACEBACK = r"Traceback .*RuntimeError: the worker's own\n"
CHILDS_TRACEBACK = r"Process .*Traceback .*RuntimeError: the child's own\n"
INTERRUPTED = r"Traceback .*KeyboardInterrupt\n"
ANYTHING = r".*"

BOTH = ("parent", "child")
THREADS = ("parent", "thread")
CHILD = ("child",)

FLUSHES = {"FLUSH_ON_SIGTERM": "1"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One way in which a process, or its child, comes to its end."""

    name: str
    title: str
    """As the table has it."""
    program: str = ""
    """Of ``worker.KINDS``, when it is not called as this is."""
    roles: tuple[str, ...] = ("parent",)
    """Who makes calls; the first of them comes up while the broker is well."""
    ended_by: signal.Signals | None = None
    """What the harness sends to the worker; None when it ends by itself."""
    exit_code: int = 0
    """The worker's, or minus the number of a signal."""
    printed: str = ""
    """What it prints, as a regular expression: how its child ended."""
    stderr: str = ""
    """A regular expression for all of it."""
    may_lose: frozenset[str] = frozenset()
    """The roles that lose, by design, what is in memory: no code of theirs runs any more."""
    leaves_open: frozenset[str] = frozenset()
    """Further roles whose sessions nobody ends."""
    child_ends_first: bool = False
    """Whether it is the child's end that counts: its server is killed when the child has gone.

    Celery's own may wait for ever when it is stopped while it forks the next child.
    """
    settings: dict[str, str] = field(default_factory=dict)
    """Environment variables of the SDK, without their prefix."""

    @property
    def serves(self) -> bool:
        """Whether the work is done by a request that the harness makes."""
        return self.name in servers.SERVE_REQUESTS

    def command(self, folder: Path) -> list[str]:
        """Return the command line, for the folder of a cell."""
        if self.name in servers.COMMANDS:
            return servers.COMMANDS[self.name](folder)
        program = self.program or self.name
        return [sys.executable, "-W", "error", "-m", "tests.e2e.ends.worker", program]


def _of_multiprocessing(method: str) -> tuple[Kind, ...]:
    child = f"child of multiprocessing ({method})"
    return (
        Kind(name=f"process_returns.{method}", title=f"{child} returns", roles=BOTH, printed="0\n"),
        Kind(
            name=f"process_raises.{method}",
            title=f"{child} raises",
            roles=BOTH,
            printed="1\n",
            stderr=CHILDS_TRACEBACK,
        ),
        Kind(
            name=f"process_is_terminated.{method}",
            title=f"{child}, `terminate()`",
            roles=BOTH,
            printed="-15\n",
            may_lose=frozenset({"child"}),
        ),
    )


def _of_server(
    name: str,
    title: str,
    *,
    roles: tuple[str, ...] = CHILD,
    exit_code: int = 0,
    child_ends_first: bool = False,
) -> Kind:
    return Kind(
        name=name,
        title=title,
        roles=roles,
        ended_by=signal.SIGTERM,
        exit_code=exit_code,
        printed=ANYTHING,
        stderr=ANYTHING,
        child_ends_first=child_ends_first,
    )


KINDS: tuple[Kind, ...] = (
    Kind(name="normal", title="returns"),
    Kind(name="sys_exit", title="`sys.exit(3)`", exit_code=3),
    Kind(name="exception", title="unhandled exception", exit_code=1, stderr=OWN_TRACEBACK),
    Kind(
        name="keyboard_interrupt",
        title="SIGINT, unhandled",
        program="is_signalled",
        ended_by=signal.SIGINT,
        exit_code=-signal.SIGINT,
        stderr=INTERRUPTED,
    ),
    Kind(
        name="sigterm_handled",
        title="SIGTERM, the worker's handler calls `sys.exit`",
        program="handles_sigterm",
        ended_by=signal.SIGTERM,
        exit_code=5,
    ),
    Kind(
        name="sigterm_flushes",
        title="SIGTERM with `flush_on_sigterm`",
        program="is_signalled",
        ended_by=signal.SIGTERM,
        exit_code=-signal.SIGTERM,
        leaves_open=frozenset({"parent"}),
        settings=FLUSHES,
    ),
    Kind(
        name="sigterm_chained",
        title="SIGTERM with `flush_on_sigterm` and the worker's handler",
        program="handles_sigterm",
        ended_by=signal.SIGTERM,
        exit_code=5,
        settings=FLUSHES,
    ),
    Kind(
        name="child_flushes",
        title="child of multiprocessing (fork), `terminate()` with `flush_on_sigterm`",
        program="process_is_terminated.fork",
        roles=BOTH,
        printed="-15\n",
        leaves_open=frozenset({"child"}),
        settings=FLUSHES,
    ),
    Kind(
        name="sigterm",
        title="SIGTERM",
        program="is_signalled",
        ended_by=signal.SIGTERM,
        exit_code=-signal.SIGTERM,
        may_lose=frozenset({"parent"}),
    ),
    Kind(
        name="sigkill",
        title="SIGKILL",
        program="is_signalled",
        ended_by=signal.SIGKILL,
        exit_code=-signal.SIGKILL,
        may_lose=frozenset({"parent"}),
    ),
    Kind(name="os_exit", title="`os._exit`", exit_code=4, may_lose=frozenset({"parent"})),
    Kind(name="daemon_thread", title="returns, a daemon thread is busy", roles=THREADS),
    Kind(name="other_thread", title="returns, another thread goes on", roles=THREADS),
    Kind(
        name="fork_returns",
        title="child of `os.fork`, `sys.exit`",
        roles=BOTH,
        printed="6\n",
    ),
    Kind(
        name="fork_exits",
        title="child of `os.fork`, `os._exit`",
        roles=BOTH,
        printed="7\n",
        may_lose=frozenset({"child"}),
    ),
    Kind(
        name="fork_in_session",
        title="child of `os.fork`, in its parent's session",
        roles=BOTH,
        printed="0\n",
        leaves_open=frozenset({"child"}),
    ),
    *_of_multiprocessing("fork"),
    *_of_multiprocessing("forkserver"),
    *_of_multiprocessing("spawn"),
    Kind(name="pool", title="worker of a `ProcessPoolExecutor`", roles=BOTH),
    _of_server("gunicorn", "worker of gunicorn, graceful stop"),
    _of_server("gunicorn_preload", "worker of gunicorn with `--preload`, the same", roles=BOTH),
    _of_server("celery", "child of Celery, graceful stop"),
    _of_server(
        "celery_one_task",
        "child of Celery, `max-tasks-per-child`",
        exit_code=-signal.SIGKILL,
        child_ends_first=True,
    ),
    _of_server(
        "uvicorn",
        "uvicorn, SIGTERM, `shutdown()` in its lifespan",
        roles=("parent",),
        # It ends as if it had not caught the signal.
        exit_code=-signal.SIGTERM,
    ),
)
