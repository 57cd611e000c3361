"""A snapshot: what a store has at one moment, in one file, for when the log has lost its start.

Format 1: gzip (RFC 1952) of JSON lines in UTF-8. The first line says which log and contract it is
of, and how far that is folded. Then follows the canonical dump, byte for byte. The last line has
the SHA-256 of all lines before it, how many states and dead letters they have, and a digest for
each partition, which does not depend on the order of its states: the sum, modulo 2^64, of the first
eight bytes (little-endian) of the SHA-256 of each state's line without its end.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sessionfold_schemas import published

from .errors import SnapshotUnusableError
from .state import State, state_columns
from .store import DeadLetter, Gap, SessionStore, TopicIdentity, dump_lines, letter_from

_KIND = "sessionfold snapshot"
_FORMAT = 1
_LEVEL = 6
"""Of compression: the highest takes three times as long for a twentieth less."""
_DIGEST_MODULUS = 1 << 64

Item = State | DeadLetter | Gap
"""What a snapshot has many of."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Header:
    """What a snapshot is of."""

    saved_at: str
    """ISO 8601, UTC."""
    contract_version: int
    contract_digest: str
    topic: str
    topic_id: str
    partition_count: int
    first_offsets: Mapping[int, int]
    """For each partition where the fold began: the snapshot is complete since then."""
    next_offsets: Mapping[int, int]
    """For each partition the offset of the next record to fold."""

    @property
    def identity(self) -> TopicIdentity:
        """The log that it is of."""
        return TopicIdentity(
            topic=self.topic, topic_id=self.topic_id, partition_count=self.partition_count
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """How much a snapshot has."""

    states: int
    dead_letters: int
    digests: Mapping[int, str]
    """For each partition that has states, 16 hexadecimal digits."""
    sha256: str


def save(store: SessionStore, path: Path) -> tuple[Header, Summary]:
    """Write what a store has now to a file. Services may go on meanwhile.

    The file appears when it is complete; one of that name is replaced.

    Raises:
        SnapshotUnusableError: when no service has run on the store yet.
        OSError: when the file cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.part")
    try:
        with gzip.open(unfinished, "wb", compresslevel=_LEVEL) as file, store.snapshot():
            header, tally = _header_of(store), _Tally()
            _write(file, tally, json.dumps({"kind": _KIND, "format": _FORMAT, **asdict(header)}))
            for line in dump_lines(store):
                _write(file, tally, line)
            summary = tally.summary()
            file.write(json.dumps({"kind": "end", **asdict(summary)}).encode() + b"\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return header, summary


class Snapshot:
    """A snapshot in a file, to be read once or several times.

    Args:
        path: the file.

    Attributes:
        header: what it is of.

    Raises:
        SnapshotUnusableError: when the file is none, or of a newer release.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with self._lines() as lines:
            self.header = self._header(next(lines, b""))

    def items(self) -> Iterator[Item]:
        """Yield gaps, states and dead letters; the end is reached only if the file is whole.

        Fields that the snapshot's version of the contract did not have are None.

        Raises:
            SnapshotUnusableError: when it is damaged.
        """
        missing = dict.fromkeys(column.name for column in state_columns())
        for values in self._values():
            kind = values.pop("kind")
            if kind == "state":
                yield missing | values
            elif kind == "gap":
                yield Gap(**values)
            elif kind == "dead_letter":
                yield letter_from(values)

    def check(self) -> Summary:
        """Read all of it; return how much there is.

        Raises:
            SnapshotUnusableError: when it is damaged.
        """
        *_, last = self._values()
        del last["kind"]
        return Summary(**last | {"digests": {int(p): d for p, d in last["digests"].items()}})

    def _values(self) -> Iterator[dict[str, Any]]:
        """Yield what the lines behind the first one say, the last one included."""
        tally = _Tally()
        with self._lines() as lines:
            for line in lines:
                values = json.loads(line)
                if values.get("kind") != "end":
                    tally.take(line)
                    if values.get("kind") != _KIND:
                        yield values
                    continue
                if {"kind": "end", **_plain(tally.summary())} != values or next(lines, None):
                    raise self._unusable("was changed: its digest is another one")
                yield values
                return
        raise self._unusable("is cut short: its end is missing")

    @contextmanager
    def _lines(self) -> Iterator[Iterator[bytes]]:
        try:
            with gzip.open(self.path, "rb") as file:
                yield iter(file)
        except (gzip.BadGzipFile, zlib.error, EOFError, KeyError, TypeError, ValueError) as error:
            raise self._unusable("is damaged, or no snapshot") from error
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror}") from error

    def _header(self, line: bytes) -> Header:
        values = json.loads(line)
        if values.pop("kind") != _KIND:
            raise self._unusable("is no snapshot")
        if values.pop("format") != _FORMAT or values["contract_digest"] not in _known_digests():
            raise self._unusable("was saved by a newer release; upgrade sessionfold")
        for name in ("first_offsets", "next_offsets"):
            values[name] = {int(partition): each for partition, each in values[name].items()}
        return Header(**values)

    def _unusable(self, words: str) -> SnapshotUnusableError:
        return SnapshotUnusableError(f"the file {self.path} {words}; name another with FILE")


class _Tally:
    """Counts and digests lines."""

    def __init__(self) -> None:
        self._all = hashlib.sha256()
        self._digests: Counter[int] = Counter()
        self._kinds: Counter[str] = Counter()

    def take(self, line: bytes) -> None:
        """Take a line, its end included."""
        self._all.update(line)
        if line.startswith(b'{"kind":"state"'):
            values = json.loads(line)
            digest = hashlib.sha256(line.rstrip(b"\n")).digest()
            self._digests[values["partition"]] += int.from_bytes(digest[:8], "little")
            self._kinds["state"] += 1
        elif line.startswith(b'{"kind":"dead_letter"'):
            self._kinds["dead_letter"] += 1

    def summary(self) -> Summary:
        """Return what was taken so far."""
        return Summary(
            states=self._kinds["state"],
            dead_letters=self._kinds["dead_letter"],
            digests={p: f"{d % _DIGEST_MODULUS:016x}" for p, d in sorted(self._digests.items())},
            sha256=self._all.hexdigest(),
        )


def _header_of(store: SessionStore) -> Header:
    info, positions = store.info(), store.positions()
    if info.identity is None:
        raise SnapshotUnusableError(
            "no service has run on this store yet, so there is nothing to save; fold the topic "
            "into it with: sessionfold run"
        )
    return Header(
        saved_at=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        contract_version=info.contract_version,
        contract_digest=info.contract_digest,
        **asdict(info.identity),
        first_offsets={p: each.first_offset for p, each in positions.items()},
        next_offsets={p: each.next_offset for p, each in positions.items()},
    )


def _write(file: gzip.GzipFile, tally: _Tally, line: str) -> None:
    data = f"{line}\n".encode()
    tally.take(data)
    file.write(data)


def _plain(summary: Summary) -> Any:  # noqa: ANN401 - JSON values
    """Return a summary as JSON has it: with keys that are texts."""
    return json.loads(json.dumps(asdict(summary)))


def _known_digests() -> set[str]:
    return {contract.digest for contract in published()}
