"""What the peers send to: a process of its own that takes datagrams and HTTP posts and counts.

``python -m benchmarks.peers.sink`` prints its port, serves on loopback, and ends with its input.
``GET /`` tells how many events have arrived since the last time. Nothing is decoded before that, so
that a peer in a hurry does not share the machine with a parser.
"""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_LOOPBACK = "127.0.0.1"
_BUFFER_BYTES = 8 * 1024 * 1024
_DATAGRAM_BYTES = 65_536
_SETTLE_SECONDS = 2.0
_METRIC = b"session.eval:"


class _Arrived:
    """What has arrived since the last time: bodies of posts, and how many metrics. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bodies: list[bytes] = []
        self._metrics = 0

    def add_batch(self, body: bytes) -> None:
        """Keep the body of a post."""
        with self._lock:
            self._bodies.append(body)

    def add_metrics(self, metrics: int) -> None:
        """Count metrics."""
        with self._lock:
            self._metrics += metrics

    def take(self) -> int:
        """Count what has arrived and forget it."""
        with self._lock:
            bodies, self._bodies = self._bodies, []
            metrics, self._metrics = self._metrics, 0
        return metrics + sum(len(json.loads(_plain(body))["batch"]) for body in bodies)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else the body of an answer waits for the client's delayed acknowledgement of its head.
    disable_nagle_algorithm = True
    arrived: _Arrived

    def do_POST(self) -> None:
        """Take a batch of events."""
        self.arrived.add_batch(self.rfile.read(int(self.headers["Content-Length"])))
        self._answer(b"{}")

    def do_GET(self) -> None:
        """Say how many events have arrived."""
        self._answer(json.dumps(self.arrived.take()).encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Print nothing."""

    def _answer(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Sink:
    """The sink as seen by who started it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def take(self, expected: int) -> int:
        """Return how many events arrived since the last time; wait a little for ``expected``."""
        arrived, ends = self._ask(), time.monotonic() + _SETTLE_SECONDS
        while arrived < expected and time.monotonic() < ends:
            time.sleep(0.05)
            arrived += self._ask()
        return arrived

    def _ask(self) -> int:
        # Without a proxy, which the environment may name.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{_LOOPBACK}:{self.port}/", timeout=30) as answer:
            return int(answer.read())


@contextmanager
def running() -> Iterator[Sink]:
    """Run a sink in another process for the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.peers.sink"],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield Sink(int(process.stdout.readline()))
        process.stdin.close()


def main() -> None:
    """Serve until the input ends."""
    arrived = _Arrived()
    handler = type("Handler", (_Handler,), {"arrived": arrived})
    with ThreadingHTTPServer((_LOOPBACK, 0), handler) as server:
        port = server.server_address[1]
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        datagrams.bind((_LOOPBACK, port))
        threading.Thread(target=_count_metrics, args=(datagrams, arrived), daemon=True).start()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print(port, flush=True)
        sys.stdin.read()
        server.shutdown()


def _count_metrics(datagrams: socket.socket, arrived: _Arrived) -> None:
    while True:
        arrived.add_metrics(datagrams.recv(_DATAGRAM_BYTES).count(_METRIC))


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


if __name__ == "__main__":
    main()
