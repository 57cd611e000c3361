"""Sources: where records come from. One protocol; Kafka, and a log in memory for tests."""

from __future__ import annotations

from .memory import MemoryLog, MemorySource
from .protocol import Changes, Fetched, Source, Watermarks
from .reader import SETTLE_SECONDS, LogReader, SourceFactory, Span, reaching

__all__ = [
    "SETTLE_SECONDS",
    "Changes",
    "Fetched",
    "LogReader",
    "MemoryLog",
    "MemorySource",
    "Source",
    "SourceFactory",
    "Span",
    "Watermarks",
    "reaching",
]
