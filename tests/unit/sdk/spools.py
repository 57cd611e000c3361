"""What tests of the spool share: spools, and what they leave behind."""

from __future__ import annotations

from pathlib import Path

from sessionfold._spooling.journal import Entry
from sessionfold._spooling.spool import Destination, Spool

HERE = Destination(topic="events", bootstrap_servers="one:9092,two:9092")


def spool(where: Path, producer_id: str = "p", destination: Destination = HERE) -> Spool:
    """The spool of a process with this producer ID."""
    return Spool(where, destination, producer_id)


def left(where: Path, *entries: Entry, producer_id: str = "gone") -> Path:
    """Leave a file behind, as a process that has ended."""
    left_by = spool(where, producer_id)
    journal = left_by.create()
    journal.append(entries)
    left_by.close()
    return journal.path
