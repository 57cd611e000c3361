"""Garbage in the topic: set aside whole, and no neighbour is the worse for it."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path

import pytest

from benchmarks.workload import Workload
from tests import oracle
from tests.e2e.conftest import CommandLine
from tests.services.kafka import Broker
from tests.services.topics import StoredRecord, append, read_all

pytestmark = pytest.mark.kafka

GOOD = 10_000
BAD = 10_000

Record = tuple[bytes | None, bytes | None]


def test_ten_thousand_broken_records_among_good_ones(
    broker: Broker, topic: str, cli: CommandLine, folder: Path
) -> None:
    """What the strict reference accepts is folded, what it rejects is a dead letter, whole."""
    append(broker, topic, _mixed(random.Random(7)))
    ended = cli("run", "--until-caught-up", "--breaker-ratio", "1")
    assert ended.returncode == 0, ended.stderr
    records = read_all(broker, topic)
    expected = oracle.fold(records)
    assert len(records) == GOOD + BAD
    assert len(expected.refused) > BAD // 2

    dump = [json.loads(line) for line in cli.good("store", "dump").splitlines()]
    states = [_without_kind(line) for line in dump if line["kind"] == "state"]
    assert states == oracle.ordered(expected.states)
    letters = {(d["partition"], d["offset"]): d for d in dump if d["kind"] == "dead_letter"}
    assert {place: d["reason"] for place, d in letters.items()} == expected.refused
    for record in records:
        if (record.partition, record.offset) in letters:
            _assert_whole(letters[record.partition, record.offset], record)
    assert _positions(folder / "sessions.db") == _ends(records)


def test_dead_letters_can_be_looked_at(broker: Broker, topic: str, cli: CommandLine) -> None:
    """The list names place and reason; a single one shows its bytes."""
    append(broker, topic, [(b"some-key", b"\xc3\x01rubbish"), (None, None)], partition=2)
    cli.good("run", "--until-caught-up", "--breaker-ratio", "1")
    listed = cli.good("dead-letters", "list").splitlines()
    assert [line.partition(":  ")[0][:3] for line in listed] == ["2:0", "2:1"]
    assert "empty_value" in listed[1]
    shown = json.loads(cli.good("dead-letters", "show", "2:0", "--json"))
    assert bytes.fromhex(shown["value"]) == b"\xc3\x01rubbish"
    assert bytes.fromhex(shown["key"]) == b"some-key"


def _mixed(chance: random.Random) -> list[Record]:
    """Good records in their order, broken copies of them anywhere in between."""
    good = list(Workload(events=GOOD, sessions=1_000, live=100).records())
    placed: list[tuple[float, Record]] = [(float(n), record) for n, record in enumerate(good)]
    placed += [(chance.uniform(0, GOOD), _broken(chance, *chance.choice(good))) for _ in range(BAD)]
    return [record for _, record in sorted(placed, key=lambda each: each[0])]


def _broken(chance: random.Random, key: bytes, value: bytes) -> Record:
    """Return a record that was damaged in one of many ways (and may be valid by chance)."""
    match chance.randrange(9):
        case 0:
            return key, None
        case 1:
            return None, value
        case 2:
            return key[:-1] + b"?", value
        case 3:
            return key, value[: chance.randrange(len(value))]
        case 4:
            return key, value + chance.randbytes(chance.randint(1, 4))
        case 5:
            return key, chance.randbytes(chance.randint(0, 200))
        case 6:
            return key, value[:10] + chance.randbytes(chance.randint(0, 200))
        case _:
            return key, _flipped(chance, value)


def _flipped(chance: random.Random, value: bytes) -> bytes:
    damaged = bytearray(value)
    for _ in range(chance.randint(1, 4)):
        damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    return bytes(damaged)


def _assert_whole(letter: dict[str, object], record: StoredRecord) -> None:
    assert letter["key"] == (None if record.key is None else record.key.hex())
    assert letter["value"] == (None if record.value is None else record.value.hex())
    assert letter["timestamp"] == record.timestamp_ms


def _without_kind(line: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in line.items() if name != "kind"}


def _ends(records: list[StoredRecord]) -> dict[int, int]:
    return {record.partition: record.offset + 1 for record in records}


def _positions(database: Path) -> dict[int, int]:
    connection = sqlite3.connect(database)
    rows = connection.execute("SELECT partition, next_offset FROM positions_a").fetchall()
    connection.close()
    return {partition: next_offset for partition, next_offset in rows if next_offset}
