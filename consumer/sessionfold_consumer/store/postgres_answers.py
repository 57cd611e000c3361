"""A bound on how long a server may take to answer, which libpq does not have.

A server that is frozen, on a machine that still answers TCP, keeps its client waiting for ever. The
line to it is cut from a thread of its own; the client then sees a connection that was lost.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

logger = logging.getLogger("sessionfold_consumer")

ANSWER_SECONDS = 120.0
"""Longer than any batch takes, and well below the five minutes after which Kafka gives up on a
consumer that does not poll."""


@contextmanager
def answered_in_time(fileno: int, name: str) -> Iterator[None]:
    """Cut the connection when the block takes longer than ``ANSWER_SECONDS``.

    Args:
        fileno: of the connection's socket.
        name: of the store, for the log.
    """
    # A socket object of its own: when the time is over, the number may be another file's.
    with socket.socket(fileno=os.dup(fileno)) as line:
        timer = threading.Timer(ANSWER_SECONDS, _cut, [line, name])
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def _cut(line: socket.socket, name: str) -> None:
    logger.warning("no answer from the store %s for %.0f s; hanging up", name, ANSWER_SECONDS)
    with suppress(OSError):
        line.shutdown(socket.SHUT_RDWR)
