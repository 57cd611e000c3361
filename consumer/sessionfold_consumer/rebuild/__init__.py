"""Fold the log again: beside the live state, to take its place, or up to some time, beside it."""

from __future__ import annotations

from .comparison import Change, Comparison, LetterChanges, pairs_of
from .decisions import left_out
from .excerpt import Excerpt, Until, excerpt_before, fold_excerpt
from .loading import load_new
from .reader import Reader
from .rebuilder import Rebuilder

__all__ = [
    "Change",
    "Comparison",
    "Excerpt",
    "LetterChanges",
    "Reader",
    "Rebuilder",
    "Until",
    "excerpt_before",
    "fold_excerpt",
    "left_out",
    "load_new",
    "pairs_of",
]
