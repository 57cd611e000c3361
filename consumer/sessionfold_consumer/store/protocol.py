"""What a store is: states, positions and dead letters that change together or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol

from ..records import session_of
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
    first_offset: int = field(default=0, compare=False)
    """Where the fold of this partition began: the first offset that the log had at that time."""
    attempts: int = field(default=0, compare=False)
    """How often a process has begun to fold from here and committed nothing; see ``attempt``."""


LetterStatus = Literal["open", "retried", "dropped"]
"""What became of a dead letter: ``open`` is in no state; ``retried`` is, in its original place;
``dropped`` was given up by a person and stays listed, so that a rebuild leaves it out, too."""


class DeadLetter(NamedTuple):
    """A record set aside because it is no valid event, with all that Kafka had of it.

    A tuple, since a topic can have many: a frozen dataclass takes three times as long to make.
    """

    partition: int
    offset: int
    timestamp: int
    """Milliseconds since the epoch, Kafka's."""
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]
    reason: str
    """The class of the reason; see ``sessionfold_schemas.Reason`` and :data:`FATAL_REASON`."""
    detail: str
    status: LetterStatus = "open"

    @property
    def session_id(self) -> str | None:
        """The session that it belongs to, by its key; None when the key is no session ID."""
        return session_of(self.key)


FATAL_REASON = "fatal"
"""The reason of a record that was set aside undecoded, since processes ended while folding it."""


SetAside = Counter[tuple[str, int]]
"""How many open dead letters each session has, in each partition; by session ID and partition."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gap:
    """Records that were deleted from the log before they were folded, and accepted as lost.

    From offset ``first`` to before ``end``.
    """

    partition: int
    first: int
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Advance:
    """One partition's move in a commit: from ``position`` to ``next_offset``."""

    position: Position
    next_offset: int

    def moved(self) -> Position:
        """Return the position as it is after the commit."""
        return replace(self.position, next_offset=self.next_offset, attempts=0)


Generation = Literal["a", "b"]
"""A store has two sets of tables, so that one can be filled beside the other and then take over."""


def other_generation(generation: Generation) -> Generation:
    """Return the generation that is not this one."""
    return "b" if generation == "a" else "a"


ShadowStatus = Literal["empty", "filling", "kept"]
"""What the generation that is not live has: nothing, a part of the log, or what was live before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreInfo:
    """What a store says of itself."""

    store_id: str
    """A UUID; the consumer group's default name is made of it."""
    contract_version: int
    contract_digest: str
    identity: TopicIdentity | None
    """None until the first service has run."""
    generation: Generation = "a"
    """Which of the two sets of tables is the live one."""
    stopped: str | None = None
    """Why the service stopped itself and does not start again until told to; normally None."""
    shadow: ShadowStatus = "empty"
    shadow_origin: str | None = None
    """What the shadow is being filled from."""

    @property
    def group_id(self) -> str:
        """The group's name that two stores never share, so that neither halves the topic."""
        return f"sessionfold-{self.store_id}"


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
    database does not do what is asked of it, or ``StoreBusyError``, when that can pass (it is
    locked, full, away, or the connection was lost). A method that was to write has then written
    nothing or, when the connection was lost in the middle of a commit, all: ``positions`` says
    which. After a lost connection the next call makes a new one.
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

        From then on commits of an earlier owner are refused. Also turns to the live generation,
        when that has changed.

        Raises:
            StoreUnusableError: when a position is missing (the store was damaged).
        """

    def attempt(self, positions: Sequence[Position]) -> None:
        """Count that this process is about to fold from these positions, before it does.

        The new count is one more than the stored one, or than ``position.attempts`` if that is
        higher: processes that ended a little before this position. A commit that moves a position
        sets its count back to 0, and a process that fails and lives takes its own back by
        ``spare``. So a count is how many processes ended at the records behind the position.

        Raises:
            FencedError: when a position is not as given; nothing was written.
        """

    def spare(self, positions: Sequence[Position]) -> None:
        """Take back what this process counted by ``attempt``: it failed, but it did not end.

        Where a position has moved meanwhile, nothing is left to take back. The owner's epoch does
        not matter: a process that was fenced lives, too.
        """

    def commit(
        self, advances: Sequence[Advance], rows: Sequence[Row], dead_letters: Sequence[DeadLetter]
    ) -> None:
        """Merge rows, keep dead letters and advance positions, in one transaction.

        Raises:
            FencedError: when a position is not as given; nothing was written.
        """

    def accept_gap(self, position: Position, end: int) -> Position:
        """Move a position over records that the log no longer has, and keep the gap on record.

        Raises:
            FencedError: when the position is not as given; nothing was written.
        """

    def gaps(self) -> list[Gap]:
        """Return the gaps that were accepted, in the order of partition and offset."""

    def resolve(
        self, letters: Sequence[DeadLetter], status: LetterStatus, rows: Sequence[Row] = ()
    ) -> None:
        """Give open dead letters another status and merge rows, in one transaction.

        The rows are the fold of these letters' records, at their own partitions and offsets; so
        each value takes the place in log order that its record has.

        Raises:
            NotFoundError: when one of them is not, or no longer, an open one; nothing was written.
        """

    def stop(self, reason: str) -> None:
        """Keep that the service stopped itself, and why; it refuses to start until ``resume``."""

    def resume(self) -> None:
        """Let a service that stopped itself start again."""

    def get(self, session_id: str) -> list[State]:
        """Return the session's state, one for each partition it has events in (normally one)."""

    def select(self, selection: Selection) -> Iterator[State]:
        """Return the states of the selected sessions."""

    def states(self) -> Iterator[State]:
        """Return all states, in the order of session ID (by bytes) and partition."""

    def dead_letters(self) -> Iterator[DeadLetter]:
        """Return all dead letters, in the order of partition and offset."""

    def set_aside(self) -> SetAside:
        """Count each session's open dead letters; those whose key is no session ID are left out."""

    def snapshot(self) -> AbstractContextManager[None]:
        """Read from one moment: within the block, what others commit meanwhile is not seen.

        Nothing may be written within the block.
        """

    def close(self) -> None:
        """Release what the store holds."""
