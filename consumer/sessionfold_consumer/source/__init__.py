"""Sources: where records come from. One protocol; Kafka, and a log in memory for tests."""

from __future__ import annotations

from .memory import MemoryLog, MemorySource
from .protocol import Changes, Fetched, Source, Watermarks

__all__ = ["Changes", "Fetched", "MemoryLog", "MemorySource", "Source", "Watermarks"]
