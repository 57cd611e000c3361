"""Errors of the service. Each class has its own exit code; the CLI prints the message and exits.

::

    ConsumerError                     1
    ├── ConfigurationError            3   a setting cannot work
    ├── MissingExtraError             4   an optional dependency is not installed
    ├── BrokerUnreachableError        5   no broker answered in time
    ├── BrokerRefusedError            6   the broker refused us: credentials, certificates, rights
    ├── TopicMissingError             7   the topic does not exist
    ├── TopicUnsuitableError          8   the topic's settings destroy events
    ├── StoreError
    │   ├── StoreUnusableError        9   the store cannot be opened, read or written
    │   │   ├── StoreBusyError        9   not now: it is locked, or its disk is full
    │   │   └── PositionMissingError  9   it has no position for a partition
    │   └── FencedError              10   another process has taken the partition over
    ├── TopicChangedError            11   the topic is not the one the store was built from
    ├── LogTruncatedError            12   the log no longer has the records the store needs
    │   ├── LogStartMissingError     12   verify cannot fold what the log no longer has
    │   ├── LogStartGoneError        12   a rebuild cannot, either
    │   └── LogCutError              12   the log lost records while they were read
    ├── NotFoundError                13   what was asked for is not in the store
    ├── TopicExistsError             14   the topic to create exists
    ├── RecordCorruptError           15   a record's checksum is wrong
    ├── OutputFailedError            16   a command's answer cannot be written
    ├── SpoolUnusableError           17   the spool cannot be read, or not changed as asked
    ├── NotDeliveredError            18   events of the spool were not delivered
    ├── BreakerOpenError             19   too many records were set aside: the service stopped
    ├── StoreDiffersError            20   the store is not the fold of its log
    │   └── RebuiltDiffersError      20   what was folded anew differs from the live state
    ├── StillRefusedError            21   dead letters that were retried are still no valid events
    ├── RebuildError                 22   a rebuild cannot be done as asked
    │   ├── NothingToRebuildError    22   no service has run yet
    │   ├── GenerationKeptError      22   what was live before is in the way
    │   ├── NothingKeptError         22   there is nothing to go back to, or to throw away
    │   ├── ExcerptExistsError       22   the store for a part of the log has another state
    │   ├── DecisionsChangedError    22   dead letters were decided about meanwhile
    │   ├── ShadowGoneError          22   another process has thrown away what was folded
    │   └── NotSwitchedError         22   the live state moves on faster than it is followed
    ├── SnapshotUnusableError        23   a snapshot is damaged, or of something else
    ├── EventsMissingError           24   events never arrived
    └── ContractBrokenError          25   a contract may not follow the one before it

1 is an error of ours, 2 a command line that cannot be understood (click).
"""

from __future__ import annotations

from typing import ClassVar


class ConsumerError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code: ClassVar[int] = 1

    def plain(self) -> ConsumerError:
        """Return the same sentence and exit code as an error that another process can be sent."""
        error = ConsumerError(str(self))
        error.__dict__["exit_code"] = self.exit_code
        return error


class ConfigurationError(ConsumerError):
    """Raised when a setting has a value that cannot work."""

    exit_code = 3


class MissingExtraError(ConsumerError):
    """Raised when a command needs an optional dependency that is not installed."""

    exit_code = 4

    def __init__(self, command: str, module: str, extra: str) -> None:
        super().__init__(
            f"{command} needs {module}, which is not installed; "
            f"run: pip install 'sessionfold[{extra}]'"
        )


class BrokerUnreachableError(ConsumerError):
    """Raised when no broker has answered within the time for a first contact."""

    exit_code = 5

    def __init__(self, bootstrap_servers: str, seconds: float, detail: str) -> None:
        super().__init__(
            f"no Kafka broker answered at {bootstrap_servers} within {seconds:.0f} s ({detail}); "
            "start one there, or name another with --bootstrap-servers or "
            "SESSIONFOLD_BOOTSTRAP_SERVERS"
        )


class BrokerRefusedError(ConsumerError):
    """Raised when a broker answered and refused: authentication, TLS or authorization."""

    exit_code = 6

    def __init__(self, bootstrap_servers: str, detail: str) -> None:
        super().__init__(
            f"the broker at {bootstrap_servers} refused: {detail}; check the security settings "
            "(--kafka security.protocol=..., SESSIONFOLD_KAFKA_SASL_PASSWORD ...) and this "
            "user's rights"
        )


class TopicMissingError(ConsumerError):
    """Raised when the topic does not exist."""

    exit_code = 7

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"the topic {topic} does not exist on this broker; create it with: "
            f"sessionfold topic create --topic {topic}"
        )


class TopicUnsuitableError(ConsumerError):
    """Raised when the topic's settings destroy events that the state is made of."""

    exit_code = 8

    def __init__(self, topic: str, setting: str, found: str, wanted: str, why: str) -> None:
        super().__init__(
            f"the topic {topic} has {setting}={found}, it must be {wanted}: {why}; change it with "
            "your cluster's tools, and see all settings with: "
            f"sessionfold topic check --topic {topic}"
        )


class StoreError(ConsumerError):
    """Base of what goes wrong in a store."""


class StoreUnusableError(StoreError):
    """Raised when the store cannot be opened, read or written as it is."""

    exit_code = 9


class StoreBusyError(StoreUnusableError):
    """Raised when the store is locked by another program or its disk is full: both can pass."""


class PositionMissingError(StoreUnusableError):
    """Raised when the store has no position for a partition that it must have had."""

    def __init__(self, partition: int) -> None:
        super().__init__(
            f"the store has no position for partition {partition}, which it must have had: it was "
            "damaged; fold the topic into a new store (another --store)"
        )


class FencedError(StoreError):
    """Raised when a position is not where this process left it: another one has taken over."""

    exit_code = 10

    def __init__(self, partition: int) -> None:
        self.partition = partition
        super().__init__(
            f"another process has taken over partition {partition} of this store; nothing of this "
            "batch was written; run one service per store, or a group of them"
        )


class TopicChangedError(ConsumerError):
    """Raised when the topic is not the one that the store was built from."""

    exit_code = 11


class LogTruncatedError(ConsumerError):
    """Raised when the log does not have the record that the store has to fold next."""

    exit_code = 12

    def __init__(self, topic: str, partition: int, next_offset: int, low: int, high: int) -> None:
        if next_offset < low:
            problem = f"offsets {next_offset} to {low - 1} were deleted before they were folded"
            way_on = (
                f"what they said is lost; to go on without it: sessionfold run --accept-gap "
                f"{partition}:{next_offset}-{low - 1}; see why with: sessionfold topic check"
            )
        else:
            problem = f"the log ends at {high}, before the store's position {next_offset}"
            way_on = (
                "acknowledged records were lost; fold the topic into a new store (another --store)"
            )
        super().__init__(
            f"partition {partition} of {topic} cannot be continued: {problem}; {way_on}"
        )


class LogCutError(LogTruncatedError):
    """Raised when the log lost records between the question for its start and their reading."""

    def __init__(self) -> None:
        ConsumerError.__init__(
            self,
            "records were deleted from the log while they were read; ask again, and see why with: "
            "sessionfold topic check",
        )


class NotFoundError(ConsumerError):
    """Raised when what was asked for is not in the store."""

    exit_code = 13

    def __init__(self, kind: str, name: str, store: str) -> None:
        super().__init__(f"there is no {kind} {name} in {store}")


class TopicExistsError(ConsumerError):
    """Raised when the topic to create exists."""

    exit_code = 14

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"the topic {topic} exists; see whether it is as it should be with: "
            f"sessionfold topic check --topic {topic}"
        )


class RecordCorruptError(ConsumerError):
    """Raised when a record arrives with a wrong checksum; nothing from it on was folded."""

    exit_code = 15

    def __init__(self, topic: str, partition: int, offset: int) -> None:
        super().__init__(
            f"the record at or after offset {offset} of partition {partition} of {topic} has a "
            "wrong checksum; start again (a fault of the network passes), and if it stays, the "
            "broker's disk is damaged: let a replica lead this partition"
        )


class OutputFailedError(ConsumerError):
    """Raised when what a command answers cannot be written where it was told to."""

    exit_code = 16

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"the output cannot be written: {problem}; name a file that can be written, on a disk "
            "with room"
        )


class SpoolUnusableError(ConsumerError):
    """Raised when the spool directory or a file in it cannot be read, or not changed as asked."""

    exit_code = 17


class NotDeliveredError(ConsumerError):
    """Raised when the broker did not take all that was to be sent from the spool."""

    exit_code = 18

    def __init__(self, *, files: int, updates: int, refused: int, refusal: str) -> None:
        problems = []
        if files:
            problems.append(
                f"{_counted(updates, 'update')} in {_counted(files, 'file')} could not be "
                "delivered and stay in the spool; send them again"
            )
        if refused:
            problems.append(
                f"the broker refused {_counted(refused, 'update')} for good, which the spool no "
                f"longer has: {refusal}"
            )
        super().__init__("; ".join(problems))


class BreakerOpenError(ConsumerError):
    """Raised when so many records are no valid events that the service stops, now or before."""

    exit_code = 19

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"the service stopped itself: {reason}; most likely workers were upgraded before the "
            "consumer: upgrade it, look at: sessionfold dead-letters list, and let it go on with: "
            "sessionfold store resume"
        )


class StoreDiffersError(ConsumerError):
    """Raised when the store is not the fold of the log up to its positions."""

    exit_code = 20

    def __init__(self, differences: int) -> None:
        super().__init__(
            f"the store is not the fold of its log: {_counted(differences, 'difference')}; keep "
            "a copy, report it, and fold the topic into a new store (another --store)"
        )


class RebuiltDiffersError(StoreDiffersError):
    """Raised when what was folded anew differs from the live state, and stays beside it."""

    def __init__(self, differences: str) -> None:
        ConsumerError.__init__(
            self,
            f"what was folded anew differs from the live state ({differences}) and was not put in "
            "its place; it is kept beside it: put it there with: sessionfold rebuild --yes, or "
            "throw it away with: sessionfold rebuild --drop-old",
        )


class RebuildError(ConsumerError):
    """Raised when a rebuild cannot be done as asked; the live state is as it was."""

    exit_code = 22


class NothingToRebuildError(RebuildError):
    """Raised when there is no state yet that could be folded anew."""

    def __init__(self) -> None:
        super().__init__(
            "no service has run on this store yet, so there is nothing to rebuild; fold the topic "
            "into it with: sessionfold run"
        )


class GenerationKeptError(RebuildError):
    """Raised when the place for a rebuild still has what was live before the last one."""

    def __init__(self) -> None:
        super().__init__(
            "what was live before the last rebuild is still kept; go back to it with: sessionfold "
            "rebuild --undo, or throw it away with: sessionfold rebuild --drop-old"
        )


class NothingKeptError(RebuildError):
    """Raised when there is no other generation to go back to, or to throw away."""

    def __init__(self, action: str) -> None:
        super().__init__(
            f"there is nothing to {action}: this store keeps no state beside the live one; "
            "make one with: sessionfold rebuild"
        )


class ExcerptExistsError(RebuildError):
    """Raised when the state of a part of the log is to go where another state is."""

    def __init__(self) -> None:
        super().__init__(
            "the store that --into names has the state of another topic, or a later one; name one "
            "that does not exist yet"
        )


class DecisionsChangedError(RebuildError):
    """Raised when dead letters were retried or dropped while the log was folded anew."""

    def __init__(self) -> None:
        super().__init__(
            "dead letters were retried or dropped while the log was folded anew, which does not "
            "know of it; begin again with the same command"
        )


class ShadowGoneError(RebuildError):
    """Raised when another process has thrown away what was folded beside the live state."""

    def __init__(self) -> None:
        super().__init__(
            "another process has thrown away the state beside the live one, which was being folded "
            "or gone back to; run one rebuild at a time, and begin again with: sessionfold rebuild"
        )


class NotSwitchedError(RebuildError):
    """Raised when the live state moves on faster than it can be followed."""

    def __init__(self, attempts: int) -> None:
        super().__init__(
            f"the live state moved on faster than it was followed, {attempts} times; what was "
            "folded is kept, go on with: sessionfold rebuild"
        )


class SnapshotUnusableError(ConsumerError):
    """Raised when a snapshot cannot be saved, is damaged, or is not of what it is wanted for."""

    exit_code = 23


class LogStartGoneError(LogTruncatedError):
    """Raised when a rebuild would miss records that the live state was folded from."""

    def __init__(self, partition: int, first: int, last: int) -> None:
        ConsumerError.__init__(
            self,
            f"a rebuild would miss offsets {first} to {last} of partition {partition}: the live "
            "state was folded from them, and the log no longer has them; begin with a snapshot "
            "that was saved from such a state, with: sessionfold rebuild --snapshot FILE",
        )


class StillRefusedError(ConsumerError):
    """Raised when dead letters that were retried are still no valid events; they stay open."""

    exit_code = 21

    def __init__(self, refused: int, retried: int) -> None:
        super().__init__(
            f"{_counted(refused, 'dead letter')} of {refused + retried:,} "
            f"{'is' if refused == 1 else 'are'} still no valid event and stay set aside; see why "
            "with: sessionfold dead-letters list"
        )


class ContractBrokenError(ConsumerError):
    """Raised when a contract that was checked may not be published."""

    exit_code = 25

    def __init__(self, file: str, findings: int) -> None:
        super().__init__(
            f"{file} may not be published: {_counted(findings, 'finding')}; change it, and check "
            "it again"
        )


class EventsMissingError(ConsumerError):
    """Raised when an audit finds that something never arrived."""

    exit_code = 24

    def __init__(self, events: int, lost: int, open_sessions: int) -> None:
        found = []
        if events:
            found.append(f"{_counted(events, 'event')} missing in the log")
        if lost:
            found.append(f"{_counted(lost, 'update')} dropped by workers")
        if open_sessions:
            found.append(f"{_counted(open_sessions, 'session')} without an end")
        super().__init__(
            f"not all has arrived: {', '.join(found)}; what waits in a spool is delivered by: "
            "sessionfold spool send"
        )


def _counted(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"
