"""What can be seen of a running service: one method for each kind of thing that happens.

The base does nothing. Whoever watches (metrics, health, a progress line, a test) overrides what it
needs. Called in the service's thread; must not raise, and must not wait.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from .commit import Commit

Stage = Literal["fetch", "fold", "store"]
"""The stages of a batch: waiting for its records included, decoding and folding, one commit."""

Cause = Literal["broker", "store"]
"""What a service waits for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a service is."""

    records: int
    """Records this run has accounted for, dead letters included."""
    dead_letters: int
    """Records this run has set aside."""
    next_offsets: Mapping[int, int]
    """For each partition this process holds, the offset of the next record to fold."""
    ends: Mapping[int, int]
    """For each of these partitions the offset to reach: the log's end, as last heard."""
    waiting: str | None = None
    """What the service waits for, as a sentence; None when it does not wait."""

    @property
    def lag(self) -> int:
        """Records that are in the log and not yet in the store."""
        return sum(max(0, end - self.next_offsets.get(p, end)) for p, end in self.ends.items())


class Observer:
    """Sees a service run."""

    def progressed(self, progress: Progress) -> None:
        """Take how far the service is; after each step, several times a second."""

    def staged(self, stage: Stage, seconds: float) -> None:
        """Take the time that one batch took in one stage."""

    def committed(self, commit: Commit) -> None:
        """Take what was stored just now."""

    def assigned(self, partitions: Collection[int]) -> None:
        """Take the partitions that this process has taken over."""

    def revoked(self, partitions: Collection[int]) -> None:
        """Take the partitions that this process has given up."""

    def fenced(self, partitions: Collection[int]) -> None:
        """Take the partitions whose positions another process had moved or claimed."""

    def waits(self, cause: Cause) -> None:
        """Take that broker or store did not do what was asked; it will be asked again."""

    def renewed(self) -> None:
        """Take that the Kafka client was closed and made anew."""
