"""What the SDK says of its own work: the accounts, and failures as they happen."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Stats:
    """What became of this process's updates; a consistent reading of one moment.

    ``accepted`` is always the sum of ``delivered``, ``spooled``, ``dropped`` and ``in_flight``, and
    each is counted by itself. All count calls, also where one event carries several of them.
    """

    accepted: int = 0
    """Updates that a call has taken."""
    delivered: int = 0
    """Updates that the broker has acknowledged."""
    spooled: int = 0
    """Updates that wait on disk."""
    dropped: int = 0
    """Updates that were given up: no room, no acknowledgement in time, or refused for good."""
    in_flight: int = 0
    """Updates that wait in memory or for the broker's acknowledgement."""
    coalesced: int = 0
    """Updates that joined an event that was still waiting, because the queue was nearly full."""
    texts_cut: int = 0
    """Texts, and lists of texts, that were longer than the limit and were cut."""
    texts_repaired: int = 0
    """Texts in which U+0000 or lone surrogates were replaced with U+FFFD."""
    adopted_waiting: int = 0
    """Updates of earlier processes, in spools that this one has taken over, not yet delivered."""
    adopted_delivered: int = 0
    """Updates of earlier processes that this one has delivered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Something that the worker does not see but its operator may want to know."""

    reason: str
    """One sentence; never with a user's text."""
    dropped: int = 0
    """Updates that were given up since the last failure that was told."""
