"""A TCP proxy in front of a server, whose connections can be cut at any moment."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Self

_CHUNK_BYTES = 65_536
_RESET = struct.pack("ii", 1, 0)
"""Linger for no time: closing resets the connection, and what was not sent is gone."""


Filter = Callable[[bytes], bytes]
"""Is given what came, in the order that it came; returns what goes on, which may be nothing.

It raises ``ConnectionResetError`` to have both ends reset.
"""


class Proxy:
    """Passes on bytes between clients and one server on loopback; a context manager.

    Args:
        port: where it listens; 0 is any that is free.
        target: ``host:port`` of the server; until it is set, connections are reset.
    """

    def __init__(self, port: int = 0, target: str = "") -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", port))
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._is_cut = self._is_closed = False

    def __enter__(self) -> Self:
        """Return it, listening."""
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        """Cut all connections and stop listening."""
        self._is_closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in self._threads:
            thread.join()

    @property
    def bootstrap_servers(self) -> str:
        """Its address, for clients."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Reset every connection, and each new one, until :meth:`heal`."""
        with self._lock:
            self._is_cut = True
            cut, self._sockets = self._sockets, set()
        for each in cut:
            reset(each)

    def heal(self) -> None:
        """Let connections through again."""
        with self._lock:
            self._is_cut = False

    def filters(self, client: socket.socket) -> tuple[Filter, Filter]:
        """Return, for a new connection, the filters of what its client and what its server says."""
        return bytes, bytes

    def _spawn(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._is_closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                continue
            self._connect(client)

    def _connect(self, client: socket.socket) -> None:
        host, _, port = self.target.rpartition(":")
        try:
            server = socket.create_connection((host, int(port or "0")))
        except OSError:
            reset(client)
            client.close()
            return
        with self._lock:
            passes = not self._is_cut
            if passes:
                self._sockets |= {client, server}
        if not passes:
            reset(client)
            reset(server)
        from_client, from_server = self.filters(client)
        self._spawn(self._pass_on, client, server, from_client)
        self._spawn(self._pass_on, server, client, from_server)

    def _pass_on(self, source: socket.socket, drain: socket.socket, passed: Filter) -> None:
        try:
            while data := source.recv(_CHUNK_BYTES):
                drain.sendall(passed(data))
        except OSError:
            reset(source)
            reset(drain)
        for each in (source, drain):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        source.close()  # each thread closes what it reads from
        with self._lock:
            self._sockets.discard(source)


def reset(connection: socket.socket) -> None:
    """End a connection at once; who reads from it sees that, and closes it."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        connection.shutdown(socket.SHUT_RDWR)
