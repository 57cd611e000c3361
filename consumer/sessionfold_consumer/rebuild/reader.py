"""What folds a log up to given ends."""

from __future__ import annotations

from dataclasses import dataclass

from ..service import Service
from ..source import Source


@dataclass(frozen=True, kw_only=True, slots=True)
class Reader:
    """A bounded service, and where it reads."""

    service: Service
    source: Source
