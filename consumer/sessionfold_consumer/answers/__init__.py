"""Answers that only a log can give: what a session's events did, and what arrives.

What never arrived is in :mod:`.audit`, which needs numpy and so is imported by its own name.
"""

from __future__ import annotations

from .explain import (
    Disagreement,
    Explained,
    Explanation,
    Part,
    Replaced,
    explain,
    explained_fields,
)
from .history import Fate, History, Step
from .origin import MOMENT, PRODUCER, SEQUENCE, Origin
from .session import Missing, Record, SessionLog, StoredSession, read_session
from .tail import Heard, heard

__all__ = [
    "MOMENT",
    "PRODUCER",
    "SEQUENCE",
    "Disagreement",
    "Explained",
    "Explanation",
    "Fate",
    "Heard",
    "History",
    "Missing",
    "Origin",
    "Part",
    "Record",
    "Replaced",
    "SessionLog",
    "Step",
    "StoredSession",
    "explain",
    "explained_fields",
    "heard",
    "read_session",
]
