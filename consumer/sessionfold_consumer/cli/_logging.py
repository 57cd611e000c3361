"""Logs of the command line: one line an event on stderr, the Kafka client's only when asked for.

An event is one line whatever it says: what is not printable is escaped, so that nobody who chooses
a topic's name or a broker's error can forge a line or steer a terminal.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

LogFormat = Literal["console", "json"]

ours = logging.getLogger("sessionfold_consumer")

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""What every record of ``logging`` has; the rest was given as ``extra``."""


class ConsoleFormatter(logging.Formatter):
    """Time, level and message, for people."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)sZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """Return one line; a traceback is part of it."""
        text = super().format(record)
        if text.isprintable():
            return text
        return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class JsonFormatter(logging.Formatter):
    """A JSON object, for programs: timestamp, level, logger, message, and what was given beside."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of ASCII."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        event: dict[str, object] = {
            "timestamp": moment.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        for name in vars(record).keys() - _STANDARD - event.keys():
            event[name] = getattr(record, name)
        return json.dumps(event, default=str)


def set_up_logging(*, verbose: bool, log_format: LogFormat = "console") -> None:
    """Send this package's log lines to stderr, once; times in UTC."""
    formatter = JsonFormatter() if log_format == "json" else ConsoleFormatter()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    ours.handlers[:] = [handler]
    ours.propagate = False
    ours.setLevel(logging.DEBUG if verbose else logging.WARNING)
    # A broker that is away prints 20 lines a second; what matters of them we say ourselves.
    logging.getLogger("sessionfold_consumer.kafka").disabled = not verbose
    if logging.lastResort is not None:  # for what other packages warn of
        logging.lastResort.setFormatter(formatter)
    if log_format == "json":
        sys.excepthook = _log_defect


def show_info() -> None:
    """Show what a service does, too: for programs that run unattended."""
    ours.setLevel(min(ours.level, logging.INFO))


def is_json() -> bool:
    """Say whether log lines are for programs, and so what ends this one should be one, too."""
    return any(isinstance(each.formatter, JsonFormatter) for each in ours.handlers)


def _log_defect(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Let a defect end the program as a line, its traceback in it."""
    ours.critical("a defect ended the program: %s", kind.__name__, exc_info=(kind, error, trace))
