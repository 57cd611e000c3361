"""A small HTTP server for pages that are read: health and metrics.

One thread for all connections. A connection gets one answer; it has a few seconds from its first
byte to its last, however slowly it sends or reads, and there are only so many at a time.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus

from .errors import ConfigurationError

logger = logging.getLogger("sessionfold_consumer")

CONNECTION_SECONDS = 5.0
"""How long a connection may last."""

MOST_CONNECTIONS = 32
"""At a time; one more is closed without an answer."""

MOST_BYTES = 8192
"""Of a request's line and headers."""

_CLOSE_SECONDS = 2.0
_LOOPBACK = "127.0.0.1"
_LARGEST_PORT = 65_535
_ADDRESS = re.compile(r"(?:(\[[0-9A-Fa-f:.]+\]|[^\[\]:\s]+):)?(\d{1,5})")


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """An answer."""

    status: HTTPStatus
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] | None = None


Pages = Mapping[str, Callable[[], Page]]
"""For each path what makes its page; called in the server's thread."""


@contextmanager
def serving(address: str, pages: Pages) -> Iterator[str]:
    """Serve until the block ends; it gets the address as ``host:port``.

    Args:
        address: ``HOST:PORT``, or ``PORT`` alone on loopback; port 0 takes a free one.
        pages: what there is to be read.

    Raises:
        ConfigurationError: when this address cannot be listened at.
    """
    listener = _listen(address)
    server = _Server(listener, pages)
    thread = threading.Thread(target=server.run, name="sessionfold-http", daemon=True)
    thread.start()
    try:
        host, port = listener.getsockname()[:2]
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    finally:
        server.stop()
        thread.join(_CLOSE_SECONDS)


class _Server:
    """Answers requests in the thread that calls :meth:`run`, until :meth:`stop`."""

    def __init__(self, listener: socket.socket, pages: Pages) -> None:
        self._listener = listener
        self._pages = pages
        # With a factory it leaves the loops of other threads alone.
        self._runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self._loop = self._runner.get_loop()
        self._stopped = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()

    def run(self) -> None:
        """Serve."""
        with self._runner:
            self._runner.run(self._serve())

    def stop(self) -> None:
        """End all connections and let :meth:`run` return; from any thread."""
        self._loop.call_soon_threadsafe(self._stopped.set)

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._accept, sock=self._listener, limit=MOST_BYTES)
        await self._stopped.wait()
        # Before the server is closed: asyncio would forget, and leave open, what it accepts now.
        while others := asyncio.all_tasks() - {asyncio.current_task()}:
            for connection in self._connections:
                connection.cancel()
            await asyncio.wait(others)
        server.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopped.is_set() or len(self._connections) >= MOST_CONNECTIONS:
            writer.transport.abort()
            return
        connection = self._loop.create_task(self._converse(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)
        # Not in the task: one that is cancelled before its first step does nothing at all.
        connection.add_done_callback(lambda _: writer.transport.abort())

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Who is too slow, or goes, gets nothing.
        with suppress(TimeoutError, OSError, asyncio.IncompleteReadError):
            async with asyncio.timeout(CONNECTION_SECONDS):
                writer.write(await self._answer(reader))
                writer.close()
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.LimitOverrunError:
            return _written(_plain(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE))
        found = re.match(rb"([A-Z]+) (/[!-~]*) HTTP/1\.[01]\r\n", head)
        if found is None:
            return _written(_plain(HTTPStatus.BAD_REQUEST))
        method, target = found[1].decode(), found[2].decode()
        if method not in ("GET", "HEAD"):
            page = _plain(HTTPStatus.METHOD_NOT_ALLOWED, {"Allow": "GET, HEAD"})
        else:
            make = self._pages.get(target.partition("?")[0])
            page = _plain(HTTPStatus.NOT_FOUND) if make is None else _made(make)
        return _written(page, with_body=method != "HEAD")


def _made(make: Callable[[], Page]) -> Page:
    try:
        return make()
    except Exception:  # the service goes on, and so does this server
        logger.exception("a page could not be made")
        return _plain(HTTPStatus.INTERNAL_SERVER_ERROR)


def _plain(status: HTTPStatus, headers: Mapping[str, str] | None = None) -> Page:
    return Page(status=status, body=f"{status.phrase}\n".encode(), headers=headers)


def _written(page: Page, *, with_body: bool = True) -> bytes:
    headers = {
        "Content-Type": page.content_type,
        "Content-Length": str(len(page.body)),
        "Cache-Control": "no-store",
        "Connection": "close",
        **(page.headers or {}),
    }
    lines = [f"HTTP/1.1 {page.status.value} {page.status.phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
    return head + page.body if with_body else head


def _listen(address: str) -> socket.socket:
    host, port = _parsed(address)
    try:
        family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(place[:2], family=family)
    except OSError as error:
        # Not the error's own words for a port: they differ from one Python to the next.
        by_resolver = isinstance(error, socket.gaierror)
        words = error.strerror if by_resolver else os.strerror(error.errno or 0)
        raise _unusable(
            address, f"{words}; name a free port and an address of this host"
        ) from error


def _parsed(address: str) -> tuple[str, int]:
    found = _ADDRESS.fullmatch(address)
    if found is None or int(found[2]) > _LARGEST_PORT:
        raise _unusable(address, "write HOST:PORT, as 127.0.0.1:9464, or PORT alone for loopback")
    return (found[1] or _LOOPBACK).strip("[]"), int(found[2])


def _unusable(address: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"--metrics-address (or SESSIONFOLD_METRICS_ADDRESS) {address!r} is not usable: {why}"
    )
