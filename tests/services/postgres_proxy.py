"""A proxy in front of PostgreSQL that loses a COMMIT, or the answer to it, or holds it up.

Its protocol: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

from __future__ import annotations

import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

from .proxy import Filter, Proxy, reset

Loss = Literal["answer", "commit", "late"]
"""``answer``: the server commits and the client never hears of it; ``commit``: neither happens;
``late``: the server gets it only some time after the client was cut off, and commits then.

In each case the client sees its connection reset while it waits for the answer.
"""

LATE_SECONDS = 0.3

_IS_COMMIT = re.compile(rb"(?:^|;)\s*COMMIT\b", re.IGNORECASE)
_PROTOCOL_3 = 3
_READY = b"Z\0\0\0\5"
"""How the message begins that ends an answer; one byte follows."""


class PostgresProxy(Proxy):
    """Passes on what PostgreSQL and its clients say, unencrypted; see :class:`Proxy`.

    Args:
        url: of a database on the server.

    Attributes:
        commits: how many COMMITs came, those that were lost included.
        lost: how many of each kind were lost so far. An answer counts only when it was one of a
            transaction that was committed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        super().__init__(target=f"{parts.hostname}:{parts.port}")
        self._url = parts
        self._losses: dict[int, Loss] = {}
        self._counting = threading.Lock()
        self.commits = 0
        self.lost: Counter[Loss] = Counter()

    @property
    def url(self) -> str:
        """The URL of the database, through this proxy."""
        user, at, _ = self._url.netloc.rpartition("@")
        address = f"{user}{at}{self.bootstrap_servers}"
        return urlunsplit(self._url._replace(netloc=address))

    def lose(self, what: Loss, nth: int = 1) -> None:
        """Lose the ``nth`` COMMIT from now on, or its answer, whichever connection it comes by."""
        with self._counting:
            self._losses[self.commits + nth] = what

    def filters(self, client: socket.socket) -> tuple[Filter, Filter]:
        """Return the filters of a new connection."""
        wire = _Wire(self, client)
        return wire.from_client, wire.from_server

    def next_loss(self) -> Loss | None:
        """Count a COMMIT and say what is to become of it."""
        with self._counting:
            self.commits += 1
            return self._losses.pop(self.commits, None)


class _Wire:
    """One connection. Each direction is one thread's; they meet in ``_swallows``, set once."""

    def __init__(self, proxy: PostgresProxy, client: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._sent = b""
        self._answer = b""
        self._is_started = self._swallows = False
        self._prepared: set[bytes] = set()

    def from_client(self, data: bytes) -> bytes:
        """Pass on whole messages, up to a COMMIT that is to be lost."""
        self._sent += data
        passed = bytearray()
        for message in self._messages():
            loss = self._proxy.next_loss() if self._commits(message) else None
            if loss == "commit":
                self._proxy.lost["commit"] += 1
                raise ConnectionResetError
            if loss == "late":
                reset(self._client)
                time.sleep(LATE_SECONDS)
                self._proxy.lost["late"] += 1
            self._swallows |= loss == "answer"
            passed += message
        return bytes(passed)

    def from_server(self, data: bytes) -> bytes:
        """Pass on everything, except the answer to a COMMIT that is to be lost."""
        if not self._swallows:
            return data
        self._answer += data
        if self._answer[-6:-1] != _READY:
            return b""
        self._proxy.lost["answer"] += b"COMMIT\0" in self._answer
        raise ConnectionResetError

    def _messages(self) -> Iterator[bytes]:
        """Take whole messages off what was sent; only the first ones begin without a type."""
        while len(self._sent) >= 8 or (self._is_started and len(self._sent) >= 5):
            length = self._length()
            if len(self._sent) < length:
                return
            message, self._sent = self._sent[:length], self._sent[length:]
            if not self._is_started:
                # Others ask for encryption, which the server of the tests refuses, or to cancel.
                self._is_started = int.from_bytes(message[4:6]) == _PROTOCOL_3
            yield message

    def _commits(self, message: bytes) -> bool:
        """Say whether a message is a COMMIT: a simple query, or a prepared one that is run."""
        kind, text = message[:1], message[5:]
        if kind == b"Q":
            return _IS_COMMIT.search(text) is not None
        first, _, rest = text.partition(b"\0")
        if kind == b"P":
            self._prepared -= {first}
            self._prepared |= {first} if _IS_COMMIT.search(rest) else set()
        return kind == b"B" and rest.partition(b"\0")[0] in self._prepared

    def _length(self) -> int:
        if self._is_started:
            return 1 + int.from_bytes(self._sent[1:5])
        return int.from_bytes(self._sent[:4])
