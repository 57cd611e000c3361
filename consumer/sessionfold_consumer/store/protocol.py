"""What a store is: states, positions and dead letters that change together or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from ..state import Row, State


@dataclass(frozen=True, kw_only=True, slots=True)
class TopicIdentity:
    """Which log a store is the fold of. Offsets mean nothing in any other."""

    topic: str
    topic_id: str
    """Kafka's ID of the topic, or the cluster's where a broker gives none (the embedded one)."""
    partition_count: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Position:
    """How far one partition is folded into the store.

    ``next_offset`` is the offset of the next record to fold. ``owner_epoch`` is one higher each
    time a process takes the partition over; a process that holds an older one is fenced.
    """

    partition: int
    next_offset: int
    owner_epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """A record set aside because it is no valid event, with all that Kafka had of it."""

    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the epoch, Kafka's."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    reason: str
    """The class of the reason; see ``sessionfold_schemas.Reason``."""
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Advance:
    """One partition's move in a commit: from ``position`` to ``next_offset``."""

    position: Position
    next_offset: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreInfo:
    """What a store says of itself."""

    store_id: str
    """A UUID; the consumer group's default name is made of it."""
    contract_version: int
    contract_digest: str
    identity: TopicIdentity | None
    """None until the first service has run."""


Status = Literal["all", "active", "finished"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which sessions to list; those that were last heard of most recently come first."""

    status: Status = "all"
    last_occurred_before: int | None = None
    """Microseconds since the epoch: only sessions whose last event is older."""
    limit: int | None = None


class SessionStore(Protocol):
    """States, positions and dead letters of one topic.

    An instance belongs to one thread. Every method may raise ``StoreUnusableError``, when the
    database does not do what is asked of it; a method that was to write has then written nothing.
    """

    def info(self) -> StoreInfo:
        """Return what this store is the fold of."""

    def bind(self, identity: TopicIdentity, first_offsets: Mapping[int, int]) -> None:
        """Tie a new store to its topic and set each partition's position to its first offset.

        Does nothing when the store is tied to ``identity`` already.

        Raises:
            TopicChangedError: when it is tied to another one.
        """

    def positions(self) -> dict[int, Position]:
        """Return the position of every partition of the topic; none for a new store."""

    def claim(self, partitions: Sequence[int], owner: str) -> dict[int, Position]:
        """Take partitions over: raise their owner epochs, and return their positions.

        From then on commits of an earlier owner are refused.

        Raises:
            StoreUnusableError: when a position is missing (the store was damaged).
        """

    def commit(
        self, advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
    ) -> None:
        """Merge rows, keep dead letters and advance positions, in one transaction.

        Raises:
            FencedError: when a position is not as given; nothing was written.
        """

    def get(self, session_id: str) -> list[State]:
        """Return the session's state, one for each partition it has events in (normally one)."""

    def select(self, selection: Selection) -> Iterator[State]:
        """Return the states of the selected sessions."""

    def states(self) -> Iterator[State]:
        """Return all states, in the order of session ID (by bytes) and partition."""

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Return all dead letters, in the order of partition and offset."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Read from one moment: within the block, what others commit meanwhile is not seen.

        Nothing may be written within the block.
        """

    def close(self) -> None:
        """Release what the store holds."""
