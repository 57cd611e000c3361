"""Records from Kafka, by confluent-kafka.

Facts of the client that force this shape. A rebalance callback that raises, or does not assign,
makes the client go on at Kafka's own offset and drop the record it had fetched: so callbacks only
note what they are told, and assign nothing; partitions are assigned at the store's position later,
outside of the callback. ``auto.offset.reset`` hides a lost log unless it is ``error``.
``check.crcs`` is off by default. ``consume()`` counts errors as records.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, overload

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from ..broker import CONTACT_SECONDS, client_logger, translate, translated
from ..config import Settings
from ..errors import ConsumerError, LogTruncatedError, RecordCorruptError
from ..records import Headers, RecordBatch
from .protocol import Changes, Fetched, Watermarks

UNREADABLE_HEADERS = "(headers that the Kafka client cannot read)"
"""Stands for a record's headers when one of their names is not UTF-8."""

logger = logging.getLogger("sessionfold_consumer")

_PROBE_SECONDS = 1.0
_QUEUE_KIBIBYTES = 16_384
_FETCH_BYTES = 4 * 1024 * 1024
_BATCH_BYTES = 16 * 1024 * 1024
_LEAST_FETCH_BYTES = 2 * 1024 * 1024
"""More than the largest record that the client takes by default, or it refuses to work."""
_CHUNK_RECORDS = 10_000
_CHUNK_SECONDS = 0.01

_LOST = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION}
_LEADERLESS = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
}
_LEADERLESS_SECONDS = 0.1
_CORRUPT = {KafkaError._BAD_MSG, KafkaError.INVALID_MSG}
_FINAL = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
}


class KafkaSource:
    """Reads one topic; see :class:`Source` for the behaviour.

    Args:
        settings: where, and which topic.
        group_id: the group to join; its assignment says which partitions are read.
        partitions: read just these, without joining a group (``group_id`` then only names the
            client to the broker).
    """

    def __init__(
        self, settings: Settings, group_id: str, partitions: Sequence[int] | None = None
    ) -> None:
        self._settings = settings
        self._topic = settings.topic
        self._group_id = group_id
        self._fixed = partitions
        self._in_group = partitions is None
        self._assigned: list[int] = list(partitions or ())
        self._revoked: list[int] = []
        self._started: dict[int, int] = {}
        self._paused: set[int] = set()
        self._is_idle = False
        self._early: list[Message] = []
        self._is_away = self._all_down = False
        self._callback_error: KafkaException | None = None
        self._batch_bytes = _BATCH_BYTES // settings.processes
        self._consumer = self._new_consumer()

    def changes(self) -> Changes:
        """Return the partitions given and taken since the last call."""
        changes = Changes(assigned=self._assigned, revoked=self._revoked)
        self._assigned, self._revoked = [], []
        return changes

    def watermarks(self, partition: int) -> Watermarks:
        """Ask the broker for a partition's watermarks."""
        deadline = time.monotonic() + CONTACT_SECONDS
        with translated(self._settings):
            while (found := self._ask_for_watermarks(partition, deadline)) is None:
                time.sleep(_LEADERLESS_SECONDS)
        return found

    def start(self, next_offsets: Mapping[int, int]) -> None:
        """Fetch assigned partitions from these offsets on."""
        again = next_offsets.keys() & self._started.keys()
        if again:
            self._early = [each for each in self._early if each.partition() not in again]
            with translated(self._settings):
                self._consumer.incremental_unassign(self._places(again))
        self._started |= next_offsets
        self._paused -= next_offsets.keys()
        places = [TopicPartition(self._topic, p, offset) for p, offset in next_offsets.items()]
        with translated(self._settings):
            self._consumer.incremental_assign(places)
            # The client remembers a pause over an assignment.
            self._consumer.resume(self._places(again))
            if self._is_idle:
                self._consumer.pause(self._places(next_offsets))
            else:
                self._consumer.resume(self._places(again))  # a pause outlives an assignment

    def pause(self, partitions: Sequence[int]) -> None:
        """Fetch no more of these partitions."""
        self._paused |= {*partitions}
        with translated(self._settings):
            self._consumer.pause(self._places(partitions))

    def fetch(
        self,
        max_records: int,
        timeout_seconds: float,
        is_wanted: Callable[[], bool] = lambda: False,
    ) -> Fetched:
        """Return records as they come; see :class:`Source`."""
        self._go_on()
        ends: dict[int, int] = {}
        gathered = _Gathered(self._batch_bytes)
        early, self._early = self._early[:max_records], self._early[max_records:]
        gathered.add(self._take(early, ends))
        deadline = time.monotonic() + timeout_seconds
        was_wanted = is_wanted()
        while len(gathered.records) < max_records and gathered.room > 0:
            if self._assigned and not self._started:
                break  # nothing comes before what was given is started
            wait = max(0.0, deadline - time.monotonic())
            is_first = not gathered.records
            # For several records the client waits until it has all of them; for the first, it is
            # asked for one. What is queued is bounded in bytes; what comes while we wait is not.
            chunk = 1 if is_first else gathered.chunk(max_records)
            longest = wait if is_first and was_wanted else _CHUNK_SECONDS
            gathered.add(self._take(self._consume(chunk, min(wait, longest)), ends))
            is_enough = bool(ends) or not (is_first if gathered.records else was_wanted)
            if not wait or (is_enough and is_wanted()):
                break
        self._watch_broker(answered=bool(gathered.records or ends))
        return Fetched(batch=gathered.batch(), ends=ends)

    def idle(self, timeout_seconds: float) -> None:
        """Stay in the group for this long without fetching."""
        if not self._is_idle:
            self._is_idle = True
            with translated(self._settings):
                self._consumer.pause(self._places(self._started))
        # What was on its way when the pause began may still come; it belongs to the next fetch.
        self._early += self._consume(_CHUNK_RECORDS, timeout_seconds)
        self._watch_broker(answered=False)

    def renew(self) -> None:
        """Leave the group and join it again with another client."""
        self._consumer.close()  # tells the callback what is revoked, if there is a group
        self._revoked += [each for each in self._started if each not in self._revoked]
        self._assigned = list(self._fixed or ())
        self._started, self._paused, self._early = {}, set(), []
        self._is_idle, self._callback_error = False, None
        self._consumer = self._new_consumer()

    def known_ends(self) -> dict[int, int]:
        """Return the started partitions' high watermarks as last heard."""
        ends = {}
        for partition, start in self._started.items():
            place = TopicPartition(self._topic, partition)
            known = self._consumer.get_watermark_offsets(place, cached=True)
            ends[partition] = max(start, known[1]) if known else start
        return ends

    def acknowledge(self, next_offsets: Mapping[int, int]) -> None:
        """Commit offsets to the group, without waiting for the answer."""
        if not self._in_group or not next_offsets:
            return
        places = [TopicPartition(self._topic, p, offset) for p, offset in next_offsets.items()]
        try:
            self._consumer.commit(offsets=places, asynchronous=True)
        except KafkaException as error:
            client_logger.info("offsets were not committed to the group: %s", error)

    def close(self) -> None:
        """Leave the group, if there is one, and disconnect."""
        self._consumer.close()

    def _new_consumer(self) -> Consumer:
        settings = {**_client_settings(self._settings, self._group_id), "error_cb": self._on_error}
        with translated(self._settings):
            consumer = Consumer(settings, logger=client_logger)
            if self._in_group:
                consumer.subscribe(
                    [self._topic],
                    on_assign=self._on_assign,
                    on_revoke=self._on_revoke,
                    on_lost=self._on_revoke,
                )
        return consumer

    def _go_on(self) -> None:
        """End the idleness: fetch again what is not paused for good."""
        if self._is_idle:
            self._is_idle = False
            with translated(self._settings):
                self._consumer.resume(self._places(self._started.keys() - self._paused))

    def _places(self, partitions: Iterable[int]) -> list[TopicPartition]:
        return [TopicPartition(self._topic, partition) for partition in partitions]

    def _watch_broker(self, *, answered: bool) -> None:
        """Say once that no broker answers, and once that one does again."""
        if not self._all_down:
            return
        if not self._is_away:
            self._is_away = True
            logger.warning("no broker answers at %s; waiting", self._settings.bootstrap_servers)
        elif answered or self._answers():
            self._is_away = self._all_down = False
            logger.warning("a broker answers again at %s", self._settings.bootstrap_servers)

    def _answers(self) -> bool:
        try:
            self._consumer.list_topics(self._topic, timeout=_PROBE_SECONDS)
        except KafkaException:
            return False
        return True

    def _ask_for_watermarks(self, partition: int, deadline: float) -> Watermarks | None:
        """Return None while the partition has no leader, as just after it was created."""
        place = TopicPartition(self._topic, partition)
        try:
            found = self._consumer.get_watermark_offsets(
                place, max(0.1, deadline - time.monotonic())
            )
        except KafkaException as error:
            if error.args[0].code() not in _LEADERLESS or time.monotonic() > deadline:
                raise
            return None
        if found is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return Watermarks(low=found[0], high=found[1])

    def _consume(self, records: int, timeout_seconds: float) -> list[Message]:
        with translated(self._settings):
            got = self._consumer.consume(records, timeout_seconds)
            if self._callback_error is not None:
                raise self._callback_error
        return got

    def _take(self, got: list[Message], ends: dict[int, int]) -> list[Message]:
        """Separate the records from the errors among them."""
        if not any(map(Message.error, got)):
            return got
        for record in got:
            if record.error() is not None:
                self._handle(record, ends)
        return [record for record in got if record.error() is None]

    def _handle(self, record: Message, ends: dict[int, int]) -> None:
        error, partition, offset = record.error(), record.partition(), record.offset()
        assert error is not None  # noqa: S101 - the caller has looked
        if error.code() == KafkaError._PARTITION_EOF and partition is not None:
            ends[partition] = offset or 0
            return
        final = self._final(error, partition or 0, offset or 0)
        if final is not None:
            raise final
        self._on_error(error)

    def _final(self, error: KafkaError, partition: int, offset: int) -> ConsumerError | None:
        if error.code() in _LOST:
            marks = self.watermarks(partition)
            return LogTruncatedError(self._topic, partition, offset, marks.low, marks.high)
        if error.code() in _CORRUPT:
            return RecordCorruptError(self._topic, partition, offset)
        return translate(self._settings, error) if error.code() in _FINAL or error.fatal() else None

    def _on_error(self, error: KafkaError) -> None:
        # A refusal, too, passes when it comes while the service runs (credentials are renewed).
        client_logger.warning("the client goes on after: %s", error.str())
        self._all_down |= error.code() == KafkaError._ALL_BROKERS_DOWN

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._assigned += [each.partition for each in partitions]
        self._tell(consumer.incremental_assign, [])

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        revoked = [each.partition for each in partitions]
        self._revoked += revoked
        self._assigned = [each for each in self._assigned if each not in revoked]
        self._early = [each for each in self._early if each.partition() not in revoked]
        started = [each for each in partitions if each.partition in self._started]
        for each in started:
            del self._started[each.partition]
            self._paused.discard(each.partition)
        self._tell(consumer.incremental_unassign, started)

    def _tell(self, call: Any, partitions: list[TopicPartition]) -> None:  # noqa: ANN401
        # A callback must not raise: the client would go on at an offset of its own.
        try:
            call(partitions)
        except KafkaException as error:
            self._callback_error = error


def _client_settings(settings: Settings, group_id: str) -> dict[str, Any]:
    ours: dict[str, Any] = {
        "log_level": 2,
        "group.id": group_id,
        "group.protocol": settings.group_protocol,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "allow.auto.create.topics": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "check.crcs": True,
        "fetch.wait.max.ms": 100,
        # The default of a second stalls a fast reader each time the queue was full.
        "fetch.queue.backoff.ms": 5,
        "fetch.max.bytes": max(_LEAST_FETCH_BYTES, _FETCH_BYTES // settings.processes),
        "queued.min.messages": 20_000,
        "queued.max.messages.kbytes": _QUEUE_KIBIBYTES // settings.processes,
    }
    if settings.group_protocol == "classic":
        ours["partition.assignment.strategy"] = "cooperative-sticky"
    if settings.group_instance_id is not None:
        ours["group.instance.id"] = settings.group_instance_id
    return ours | settings.kafka_settings()


class _Gathered:
    """The records of a batch as they come, and how much room there is for more, in bytes."""

    def __init__(self, room: int) -> None:
        self._most = self.room = room
        self.records: list[Message] = []
        self.keys: list[bytes | None] = []

    def add(self, records: list[Message]) -> None:
        """Add records that are none of the client's errors."""
        keys = list(map(Message.key, records))
        # The length of a record is that of its value.
        self.room -= sum(map(len, records)) + _bytes_of(keys)
        self.records += records
        self.keys += keys

    def chunk(self, max_records: int) -> int:
        """Return how many to take next: as many as fit, by the mean size of those we have."""
        got = len(self.records)
        chunk = min(max_records - got, _CHUNK_RECORDS)
        taken = self._most - self.room
        return min(chunk, 1 + self.room * got // taken) if taken > 0 else chunk

    def batch(self) -> RecordBatch:
        """Return the batch."""
        records = self.records
        return RecordBatch(
            partitions=_Numbers(records, Message.partition),
            offsets=_Numbers(records, Message.offset),
            timestamps=_Numbers(records, _timestamp),
            keys=self.keys,
            values=list(map(Message.value, records)),
            headers=lambda place: _headers(records[place]),
        )


def _bytes_of(keys: list[bytes | None]) -> int:
    """Return the sum of the keys' lengths; nearly always there is no null among them."""
    try:
        return sum(map(len, keys))  # type: ignore[arg-type]
    except TypeError:
        return sum(map(len, filter(None, keys)))


class _Numbers(Sequence[int]):
    """A number of each record, read when it is asked for: of most numbers of most batches never."""

    def __init__(self, records: Sequence[Message], read: Callable[[Message], Any]) -> None:
        self._records = records
        self._read = read

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[int]:
        return map(self._read, self._records)

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> list[int]: ...
    def __getitem__(self, place: int | slice) -> int | list[int]:
        if isinstance(place, slice):
            return [*map(self._read, self._records[place])]
        number: int = self._read(self._records[place])
        return number


def _timestamp(record: Message) -> int:
    return record.timestamp()[1]


def _headers(record: Message) -> Headers:
    try:
        found = record.headers()
    # The client ends so for a name that is not UTF-8, and gives no other way to the headers.
    except (SystemError, UnicodeDecodeError):
        return [(UNREADABLE_HEADERS, None)]
    return [(str(header[0]), _bytes(header[1])) for header in found] if found else []


def _bytes(value: str | bytes | None) -> bytes | None:
    return value.encode() if isinstance(value, str) else value
