"""Figures for machines: one JSON file for each run of a program."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path


def save(file: Path | None, figures: Mapping[str, object]) -> None:
    """Write figures, and when they were measured; None writes nothing."""
    if file is not None:
        measured_at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        file.write_text(json.dumps({"measured_at": measured_at, **figures}, indent=2) + "\n")
