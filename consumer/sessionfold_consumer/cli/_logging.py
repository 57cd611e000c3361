"""Logs of the command line: one line an event on stderr, the Kafka client's only when asked for."""

from __future__ import annotations

import logging
import sys
import time


def set_up_logging(*, verbose: bool) -> None:
    """Send this package's log lines to stderr, once; times in UTC."""
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    ours = logging.getLogger("sessionfold_consumer")
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(logging.DEBUG if verbose else logging.WARNING)
    # A broker that is away prints 20 lines a second; what matters of them we say ourselves.
    logging.getLogger("sessionfold_consumer.kafka").disabled = not verbose


def show_info() -> None:
    """Show what a service does, too: for programs that run unattended."""
    ours = logging.getLogger("sessionfold_consumer")
    ours.setLevel(min(ours.level, logging.INFO))
