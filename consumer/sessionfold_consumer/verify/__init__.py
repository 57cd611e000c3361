"""Is the store the fold of its log? Answered without the service's own fold and decoder."""

from __future__ import annotations

from .log import LogStartMissingError
from .report import Difference, Note, Report
from .verifier import Verifier

__all__ = ["Difference", "LogStartMissingError", "Note", "Report", "Verifier"]
