"""The oracle: after every step the store is the fold of the log before its positions.

It goes on from what it has checked: only what the log says of new offsets, and only states that
the store has written since, are compared. The fold is that of ``verify``, which knows nothing of
the consumer's; ``check_all`` asks the plainest fold there is for all of it.
"""

from __future__ import annotations

from typing import Any

from sessionfold_consumer.state import State
from sessionfold_consumer.store import FATAL_REASON, DeadLetter
from sessionfold_consumer.verify.reference import ReferenceFold, columns
from tests import oracle
from tests.strategies import stored

from .records import POISON, judged
from .store import Database, LiveStore
from .world import World, WrongError

_ALONE_ATTEMPTS = 2
"""Of the process that the record ended when it was alone, and of the one that sets it aside."""

Place = tuple[int, int]
SessionKey = tuple[str, int]


class Oracle:
    """Holds one world's store to its log."""

    def __init__(self, world: World, store: LiveStore, database: Database) -> None:
        self._world, self._store, self._database = world, store, database
        self._fold = ReferenceFold()
        self._expected: dict[SessionKey, tuple[Any, ...]] = {}
        self._reached = dict.fromkeys(range(world.profile.partitions), 0)
        self._seen: dict[SessionKey, State] = {}
        self._asides: dict[Place, str] = {}

    def check(self) -> None:
        """Compare what is new.

        Raises:
            WrongError: when there is a difference.
        """
        self._follow_positions()
        self._compare_letters()
        self._compare_states()

    def check_all(self) -> None:
        """Compare everything with the plain fold, one record after the other."""
        letters = self._store.tables.dead_letters
        prefix = [
            stored(partition, offset, record.key, record.value)
            for partition, log in enumerate(self._world.log.partitions)
            for offset, record in enumerate(log[: self._reached[partition]])
            if record is not None
            and getattr(letters.get((partition, offset)), "reason", "") != FATAL_REASON
        ]
        if list(self._store.states()) != oracle.ordered(oracle.fold(prefix).states):
            raise WrongError("state", "the store is not the plain fold of its log")

    def check_acknowledged(self, acknowledged: dict[int, int]) -> None:
        """Expect that nobody tells the broker of more than is stored."""
        for partition, offset in acknowledged.items():
            if offset > self._reached[partition]:
                raise WrongError(
                    "acknowledged", f"{partition}:{offset}, stored is {self._reached[partition]}"
                )

    def _follow_positions(self) -> None:
        for partition, position in self._store.tables.positions.items():
            reached = self._reached[partition]
            if position.next_offset == reached:
                continue
            log = self._world.log.partitions[partition]
            if not reached < position.next_offset <= len(log):
                words = f"{partition}: from {reached} to {position.next_offset} of {len(log)}"
                raise WrongError("position", f"moved in partition {words}")
            for offset in range(reached, position.next_offset):
                self._take(partition, offset)
            self._reached[partition] = position.next_offset

    def _take(self, partition: int, offset: int) -> None:
        record = self._world.log.partitions[partition][offset]
        if record is None:
            return
        reason, event = judged(record.key, record.value)
        letter = self._store.tables.dead_letters.get((partition, offset))
        if letter is not None and letter.reason == FATAL_REASON:
            self._check_fatal(partition, offset)
            reason = FATAL_REASON
        if reason is not None:
            self._asides[partition, offset] = reason
            return
        self._fold.add(partition, offset, event)
        name = record.key.decode() if record.key else ""
        self._expected.pop((name, partition), None)
        self._seen.pop((name, partition), None)

    def _check_fatal(self, partition: int, offset: int) -> None:
        """Expect that processes had begun so often in front of just this record."""
        log, first = self._world.log.partitions[partition], offset
        while first > 0 and log[first - 1] is None:
            first -= 1
        begun = max(self._database.begun[partition, each] for each in range(first, offset + 1))
        if begun < _ALONE_ATTEMPTS:
            raise WrongError(
                "dead_letter", f"{partition}:{offset} set aside after {begun} attempts"
            )
        record = log[offset]
        if self._world.profile.is_otherwise_safe and record and record.value != POISON:
            raise WrongError("dead_letter", f"{partition}:{offset} set aside, which is harmless")
        self._world.note("fatal")

    def _compare_letters(self) -> None:
        letters = self._store.tables.dead_letters
        if letters.keys() != self._asides.keys():
            differing = sorted(letters.keys() ^ self._asides.keys())
            raise WrongError("dead_letter", f"listed or to be listed, not both: {differing}")
        for place, letter in list(letters.items()):
            if self._asides[place] != letter.reason or not self._is_record(letter):
                raise WrongError("dead_letter", f"{letter} for {self._asides[place]}")

    def _is_record(self, letter: DeadLetter) -> bool:
        record = self._world.log.partitions[letter.partition][letter.offset]
        return record is not None and (
            (letter.key, letter.value, letter.timestamp, letter.headers, letter.status)
            == (record.key, record.value, record.timestamp, record.headers, "open")
        )

    def _compare_states(self) -> None:
        states = self._store.tables.states
        if len(states) != len(self._fold):
            raise WrongError("state", f"{len(states)} sessions, not {len(self._fold)}")
        if len(self._expected) != len(self._fold):
            self._expected = dict(self._fold.states())
        for key, state in states.items():
            if state is self._seen.get(key):
                continue
            expected = self._expected.get(key, ())
            found = tuple(map(state.__getitem__, columns()))
            if repr(found) != repr(expected):
                raise WrongError("state", _difference(key, found, expected))
            self._seen[key] = state


def _difference(key: SessionKey, found: tuple[Any, ...], expected: tuple[Any, ...]) -> str:
    if not expected:
        return f"{key} is in the store, not in the log"
    differing = [
        f"{name} is {one!r}, not {other!r}"
        for name, one, other in zip(columns(), found, expected, strict=True)
        if repr(one) != repr(other)
    ]
    return f"{key}: {'; '.join(differing)}"
