"""Fold the log again, beside the live state; compare; put the result in its place, or not."""

from __future__ import annotations

from .comparison import Change, Comparison, LetterChanges
from .rebuilder import Reader, Rebuilder

__all__ = ["Change", "Comparison", "LetterChanges", "Reader", "Rebuilder"]
