"""Workers inside servers: a request (or a task) does the work, then the server is stopped.

Each function of ``COMMANDS`` gives the command line that serves this module from a cell's folder.
"""

from __future__ import annotations

import asyncio
import http.client
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import sessionfold as lai
from tests.e2e.ends.work import Worker

SOCKET = "http"
_MODULE = "tests.e2e.ends.servers"
_LONGEST_WAIT_SECONDS = 120.0


def wsgi(_environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Serve one request: a worker's whole work."""
    Worker("child").run()
    start_response("200 OK", [("Content-Length", "0")])
    return []


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """Serve requests, and close the SDK when the server's lifespan ends."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.to_thread(lai.shutdown)
        await send({"type": "lifespan.shutdown.complete"})
    else:
        await asyncio.to_thread(Worker().run)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})


def gunicorn(folder: Path, *options: str) -> list[str]:
    """One prefork worker of gunicorn."""
    serve = ["gunicorn", "--workers", "1", "--timeout", "120", "--graceful-timeout", "60"]
    place = ["--bind", f"unix:{folder / SOCKET}", "--worker-tmp-dir", str(folder)]
    return [sys.executable, "-m", *serve, *place, *options, f"{_MODULE}:wsgi"]


def gunicorn_preload(folder: Path) -> list[str]:
    """The same, with an application that has used the SDK before the fork."""
    return [*gunicorn(folder, "--preload")[:-1], "tests.e2e.ends.preloaded:wsgi"]


def uvicorn(folder: Path) -> list[str]:
    """One process of uvicorn."""
    options = ["--uds", str(folder / SOCKET), "--lifespan", "on", "--log-level", "warning"]
    return [sys.executable, "-m", "uvicorn", *options, f"{_MODULE}:asgi"]


def celery(_folder: Path, *options: str) -> list[str]:
    """One prefork worker of Celery with one child."""
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "error"]
    start = ["celery", "--app", "tests.e2e.ends.tasks", "worker", "--pool", "prefork"]
    return [sys.executable, "-W", "ignore", "-m", *start, "--concurrency", "1", *quiet, *options]


def celery_one_task(folder: Path) -> list[str]:
    """The same; the child ends by itself after its task."""
    return celery(folder, "--max-tasks-per-child", "1")


COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    each.__name__: each for each in (gunicorn, gunicorn_preload, uvicorn, celery, celery_one_task)
}
SERVE_REQUESTS = ("gunicorn", "gunicorn_preload", "uvicorn")


def request(folder: Path) -> int:
    """Make the one request, as soon as the server listens; return the status of its answer."""
    deadline = time.monotonic() + _LONGEST_WAIT_SECONDS
    while True:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(folder / SOCKET))
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
                continue
            return _answer(connection)


def _answer(connection: socket.socket) -> int:
    connection.settimeout(_LONGEST_WAIT_SECONDS)
    connection.sendall(b"GET / HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n")
    response = http.client.HTTPResponse(connection)
    response.begin()
    return response.status
