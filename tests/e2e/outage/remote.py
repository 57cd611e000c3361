"""A worker that does what a test tells it, line by line: ``python -m tests.e2e.outage.remote``.

Each line on stdin is a JSON text of Python code. An expression is answered with its value, a
statement with null, an error with its traceback. ``lines`` are the warnings that the SDK logged,
``failures`` what its callback was told.
"""

from __future__ import annotations

import contextlib
import json
import logging
import signal
import subprocess
import sys
import time
import traceback
from dataclasses import asdict
from typing import Any, Self

import sessionfold as lai
from tests.e2e.outage.fleet import ROOT, environment

ANSWER_SECONDS = 20.0


class Remote:
    """A worker in a process of its own. A context manager: it is killed at the end.

    Args:
        settings: of the SDK, by the names of its environment variables in lower case.
    """

    def __init__(self, **settings: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "tests.e2e.outage.remote"],
            cwd=ROOT,
            env=environment(**settings),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        """Return the running worker."""
        return self

    def __exit__(self, *_: object) -> None:
        """Kill it, if it still runs."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def __call__(self, code: str) -> Any:  # noqa: ANN401 - what the code comes to
        """Let it run ``code``; return the value, if that is an expression."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(code) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "it has ended"}')
        assert "error" not in answer, f"{code}\n{answer['error']}"
        return answer["value"]

    def stats(self) -> dict[str, int]:
        """Return its accounts, which balance."""
        stats: dict[str, int] = self("asdict(lai.stats())")
        parts = [stats[name] for name in ("delivered", "spooled", "dropped", "in_flight")]
        assert stats["accepted"] == sum(parts), stats
        assert min(parts) >= 0, stats
        return stats

    def until(self, condition: str) -> dict[str, int]:
        """Wait until ``condition``, on its ``stats``, is true; return these."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not eval(condition, {}, stats := self.stats()):  # noqa: S307 - the test's own
            assert time.monotonic() < deadline, (condition, stats, self("lines"))
            time.sleep(0.05)
        return stats

    def wait(self, condition: str) -> None:
        """Wait until ``condition`` is true there."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not self(condition):
            assert time.monotonic() < deadline, condition
            time.sleep(0.05)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self) -> None:
        """Let it end as programs do, by itself."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        assert self._process.wait(ANSWER_SECONDS) == 0


class Lines(logging.Handler):
    """Keeps the messages of what is logged."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one."""
        self.lines.append(record.getMessage())


def answer(code: str, names: dict[str, Any]) -> dict[str, Any]:
    """Run ``code`` and say what it came to."""
    try:
        try:
            compiled = compile(code, "<test>", "eval")
        except SyntaxError:
            exec(code, names)  # noqa: S102 - the test's own
            return {"value": None}
        return {"value": eval(compiled, names)}  # noqa: S307 - the test's own
    except Exception:  # noqa: BLE001 - whatever it is, the test is to see it
        return {"error": traceback.format_exc()}


def main() -> None:
    """Obey until stdin ends."""
    handler, failures = Lines(), list[tuple[str, int]]()
    logging.getLogger("sessionfold").addHandler(handler)
    lai.configure(on_failure=lambda failure: failures.append((failure.reason, failure.dropped)))
    names: dict[str, Any] = {"lai": lai, "asdict": asdict, "lines": handler.lines}
    names["failures"] = failures
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line), names)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
