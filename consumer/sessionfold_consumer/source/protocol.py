"""What a source is: the records of one topic, from the offsets that it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from ..records import RecordBatch


@dataclass(frozen=True, kw_only=True, slots=True)
class Watermarks:
    """The part of a partition's log that there is: offsets from ``low`` to before ``high``."""

    low: int
    high: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """What was given to this process, and taken from it, since the last question."""

    assigned: Sequence[int] = ()
    revoked: Sequence[int] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Fetched:
    """A batch of records, and the partitions whose end was seen behind them.

    ``ends`` has, for such a partition, the offset that its next record will have. Behind the last
    record of the batch there may be offsets without a record (marks of transactions).
    """

    batch: RecordBatch
    ends: Mapping[int, int] = field(default_factory=dict)

    def without(self, partitions: Sequence[int]) -> Fetched:
        """Return what is left when the records of these partitions are dropped."""
        kept = [i for i, each in enumerate(self.batch.partitions) if each not in partitions]
        ends = {each: end for each, end in self.ends.items() if each not in partitions}
        return Fetched(batch=self.batch.select(kept), ends=ends)

    @classmethod
    def nothing(cls) -> Fetched:
        """Return a batch without records, at no end."""
        return cls(
            batch=RecordBatch(
                partitions=[], offsets=[], timestamps=[], keys=[], values=[], headers=lambda _: ()
            )
        )


class Source(Protocol):
    """Records of one topic. An instance belongs to one thread.

    A partition that was assigned gives nothing until it is started at an offset. After a partition
    was revoked, records of it may still come; their reader drops them.
    """

    def changes(self) -> Changes:
        """Return the partitions given and taken since the last call."""

    def watermarks(self, partition: int) -> Watermarks:
        """Ask for a partition's watermarks.

        Raises:
            BrokerUnreachableError: when the broker does not answer in time; try again later.
        """

    def start(self, next_offsets: Mapping[int, int]) -> None:
        """Fetch assigned partitions from these offsets on; those that were started, too, anew.

        Raises:
            BrokerUnreachableError: when the client failed; ``renew`` it, as after ``fetch``.
        """

    def pause(self, partitions: Sequence[int]) -> None:
        """Fetch no more of these partitions."""

    def fetch(
        self,
        max_records: int,
        timeout_seconds: float,
        is_wanted: Callable[[], bool] = lambda: False,
    ) -> Fetched:
        """Return records as they come, when there are ``max_records`` or the time is over.

        Once ``is_wanted`` says so, records are returned without waiting for more, but for 10 ms
        in which others may follow the first; and nothing is, when it begins to say so.
        Large records end a batch before, so that it never holds much more than 16 MiB.
        Nor is anything waited for while what was given has not been started.
        A broker that is away gives empty batches: the source goes on by itself when it is back.
        A topic that is deleted does, too: that it is still there is the caller's to ask.

        Raises:
            LogTruncatedError: when a partition has no record at the offset it was started at.
            RecordCorruptError: when a record's checksum is wrong.
            BrokerRefusedError: when the broker withdraws the right to read.
            BrokerUnreachableError: when the client failed in another way; ``renew`` it, since what
                it had fetched may be lost.
        """

    def idle(self, timeout_seconds: float) -> None:
        """Stay in the group for this long without fetching; the next ``fetch`` goes on.

        Raises:
            BrokerUnreachableError: when the client failed; ``renew`` it, as after ``fetch``.
        """

    def renew(self) -> None:
        """Leave the group and join it again as another member, with a client made anew.

        All partitions are taken; those that belong to the new member are given again.
        """

    def known_ends(self) -> dict[int, int]:
        """Return the started partitions' high watermarks as last heard; asks nobody."""

    def acknowledge(self, next_offsets: Mapping[int, int]) -> None:
        """Tell the broker how far the store is: a courtesy to tools, never read by us."""

    def close(self) -> None:
        """Leave the group, if there is one, and disconnect."""
