"""The records of all simulated logs: encoded and judged once in a process, then used again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import sessionfold_schemas as contract
from sessionfold_consumer.verify.reference import judge
from tests.strategies import mutated

SESSIONS = ("a", "a ", "é", "🙂")
"""Session IDs of which some look alike."""

POISON = b"poison"
"""The value of the record that ends each process that decodes it."""

_TEXTS = ("", "x", "a\nb", "é", "🙂" * 16, "y" * 64)
_DOUBLES = (0.0, -0.0, 5e-324, -1.5, 0.1, 1.7976931348623157e308)
_TIMES = (contract.MIN_TIMESTAMP, -1, 0, 1_700_000_000_000_000, contract.MAX_TIMESTAMP)
_GOOD = 300
_BAD = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Pool:
    """Keys and values that logs are made of."""

    good: list[tuple[bytes, bytes]]
    bad: list[tuple[bytes | None, bytes | None]]
    """Mostly refused; some of those that were damaged are still valid."""


judged = cache(judge)
"""The strict reference's word on a key and a value, asked once for each."""


@cache
def pool() -> Pool:
    """Return the pool; it is the same in every process."""
    random = Random(5)
    good = [_good(random, random.choice(SESSIONS)) for _ in range(_GOOD)]
    bad = [_bad(random, good) for _ in range(_BAD)]
    return Pool(good=good, bad=bad)


def _good(random: Random, session_id: str) -> tuple[bytes, bytes]:
    event = {
        field.name: _value(random, field)
        for field in contract.current().fields
        if not field.optional or random.random() < 0.4
    }
    event[contract.current().key.name] = session_id
    return session_id.encode(), contract.encode(event)


def _value(random: Random, field: contract.Field) -> Any:  # noqa: ANN401 - any Avro value
    match field.type:
        case "string":
            return random.choice(_TEXTS)
        case "strings":
            return random.choices(_TEXTS, k=random.randrange(4))
        case "double":
            return random.choice(_DOUBLES)
        case "boolean":
            return random.random() < 0.5
        case "timestamp":
            return random.choice(_TIMES)
        case _:
            return random.choice((0, 0, 1, 3))


def _bad(random: Random, good: list[tuple[bytes, bytes]]) -> tuple[bytes | None, bytes | None]:
    (key, value), (_, other) = random.choice(good), random.choice(good)
    match random.randrange(6):
        case 0:
            return random.choice((None, b"", key + b"x", b"\xff")), value
        case 1:
            return key, random.choice((None, b"", b"\0", value[:2] + random.randbytes(8)))
        case _:
            return key, mutated(value, other, random)
