"""Every store: the dump that stores are compared by. That all are equal is in ``test_merge``."""

from __future__ import annotations

import json
import re

import sessionfold_schemas as contract
from sessionfold_consumer.state import public_columns
from sessionfold_consumer.store import SessionStore, dump
from tests.contract.store.stores import advance, letter, row


def test_a_dump_has_every_thing_in_one_order(store: SessionStore) -> None:
    """The store, its positions and gaps, its states by ID and partition, its dead letters."""
    held = store.claim([0, 2], "one")
    held |= {0: store.accept_gap(held[0], 3)}
    rows = [row("b"), row("a", partition=2), row("a", task="A")]
    store.commit([advance(held[2], 7)], rows, [letter(2, 4), letter(0, 5)])
    lines = [json.loads(line) for line in dump(store)]
    assert [line["kind"] for line in lines] == [
        *("store", "position", "position", "position", "gap"),
        *("state", "state", "state", "dead_letter", "dead_letter"),
    ]
    assert lines[0] == {
        "kind": "store",
        "contract": contract.current().digest,
        "topic": "session-updates",
    }
    assert lines[3] == {"kind": "position", "partition": 2, "next_offset": 7}
    assert lines[4] == {"kind": "gap", "partition": 0, "first": 0, "end": 3}
    assert [(each["session_id"], each["partition"]) for each in lines[5:8]] == [
        *(("a", 0), ("a", 2), ("b", 0)),
    ]
    assert [(each["partition"], each["offset"]) for each in lines[8:]] == [(0, 5), (2, 4)]


def test_a_dumped_state_has_its_values_and_their_offsets(store: SessionStore) -> None:
    """So two stores are equal only when they agree on which record set each field."""
    store.commit([], [row("a", offset=3, task="naïve", session_eval=0.5, is_finished=False)], [])
    (state,) = [json.loads(line) for line in dump(store) if '"kind":"state"' in line]
    assert set(public_columns()) < set(state)
    assert (state["task"], state["task_offset"]) == ("naïve", 3)
    assert (state["is_finished"], state["is_finished_offset"]) == (False, 3)
    assert (state["ended_at"], state["ended_at_offset"]) == (None, None)


def test_a_dumped_dead_letter_is_whole(store: SessionStore) -> None:
    """Bytes in hex; null and no bytes differ."""
    headers = (("trace", b"\xff"), ("none", None))
    store.commit([], [], [letter(0, 5, key=None, value=b"", headers=headers)])
    *_, line = dump(store)
    assert json.loads(line) == {
        "kind": "dead_letter",
        "partition": 0,
        "offset": 5,
        "status": "open",
        "session_id": None,
        "timestamp": 1_760_000_000_000,
        "reason": "not_single_object",
        "detail": "it begins with 6e6f",
        "key": None,
        "value": "",
        "headers": [["trace", "ff"], ["none", None]],
    }


def test_a_dump_says_what_became_of_a_dead_letter(store: SessionStore) -> None:
    """A rebuild does the same with that record, so it belongs to what a store is."""
    letters = [letter(0, 5), letter(0, 6), letter(0, 7)]
    store.commit([], [], letters)
    store.resolve(letters[:1], "retried", [row(offset=5)])
    store.resolve(letters[1:2], "dropped")
    found = [json.loads(line) for line in dump(store) if '"kind":"dead_letter"' in line]
    assert [(each["offset"], each["status"]) for each in found] == [
        *((5, "retried"), (6, "dropped"), (7, "open")),
    ]


def test_a_dump_of_a_new_store(new_store: SessionStore) -> None:
    """It says that the store belongs to no topic; a line has neither spaces nor a line end."""
    (line,) = dump(new_store)
    assert re.fullmatch(r'\{"kind":"store","contract":"[0-9a-f]{64}","topic":null\}', line)


def test_a_dump_that_is_left_midway_leaves_the_store_usable(store: SessionStore) -> None:
    """As when the reader of a pipe has seen enough."""
    store.commit([], [row(each) for each in "abc"], [])
    lines = dump(store)
    next(lines)
    lines.close()  # type: ignore[attr-defined]
    store.commit([], [row("d")], [])
    assert len(list(store.states())) == 4
