"""The rivals of the fold: what others would fold the same topic with, in a process of its own.

Each folds a topic from its start into a place of its own, and is right only when the last values
of all sessions are. ``python -m benchmarks.rivals`` runs them by themselves.
"""

from .answers import FIELDS, digest, expected_digest
from .java import JavaRival, StreamsRival
from .plain import PlainRival
from .protocol import Rival
from .quix import QuixRival

__all__ = ["FIELDS", "RIVALS", "Rival", "digest", "expected_digest"]

RIVALS: tuple[Rival, ...] = (
    PlainRival(is_batched=False),
    PlainRival(is_batched=True),
    QuixRival(),
    JavaRival(),
    StreamsRival(threads=1),
    StreamsRival(threads=2),
)
"""In the order of a report."""
