"""The laws of the fold: however a log is cut, repeated or mixed, it comes to the same states."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

import sessionfold_schemas as contract
from sessionfold_consumer.decode import decode
from sessionfold_consumer.fold import fold
from sessionfold_consumer.state import Row, state_columns
from sessionfold_consumer.store import MemoryStore
from tests import oracle
from tests.strategies import Cut, Log, batch_of, cuts, logs, mixed_logs, stored

NAMES = [column.name for column in state_columns()]
COUNTS = [column.name for column in state_columns() if column.merge == "add"]


@given(cuts(mixed_logs))
def test_any_split_folds_to_the_plain_fold(cut: Cut) -> None:
    """Batches are a matter of speed: values, offsets and counts are those of single events."""
    log, batches = cut
    assert states_of(batches) == expected(log)


@given(cuts(logs()), st.randoms(use_true_random=False))
def test_batches_may_be_applied_in_any_order(cut: Cut, random: Random) -> None:
    """The merge needs no order: each field's offset says which of two values is the newer."""
    log, batches = cut
    random.shuffle(batches)
    assert states_of(batches) == expected(log)


@given(cuts(logs()), st.data())
def test_a_slice_applied_again_changes_no_field(cut: Cut, data: st.DataObject) -> None:
    """Late or twice, whole or in part: only counts, which positions guard, see the repetition."""
    log, batches = cut
    again = data.draw(st.lists(st.sampled_from(batches), max_size=4))
    assert without_counts(states_of(batches + again)) == without_counts(expected(log))


@given(logs())
def test_partitions_may_come_in_any_mixture(log: Log) -> None:
    """Only the order within a partition is the log's; a source hands them over as they arrive."""
    by_partition = sorted(log, key=lambda record: record.partition)
    assert states_of([by_partition]) == states_of([log])


@given(logs())
def test_a_batch_gives_one_row_for_each_session_and_partition(log: Log) -> None:
    """In the order of the sessions' IDs, which stores keep them in."""
    pairs = {((record.key or b"").decode(), record.partition) for record in log}
    assert [row[:2] for row in rows_of(log)] == sorted(pairs)


def test_nothing_folds_to_nothing() -> None:
    """An empty batch, and one of which every record is refused, have no row."""
    assert rows_of([]) == []
    assert rows_of([stored(0, 0, b"a", b"no event"), stored(0, 1, None, None)]) == []


def test_a_field_keeps_the_value_and_the_offset_of_the_event_that_gave_it() -> None:
    """Last for most, first for started_at; what no event gave has neither value nor offset."""
    first = event(task="one", started_at=-5, session_eval=-0.0, is_finished=False)
    second = event(task="", started_at=7)
    row = one_row([event(), first, second, event(is_successful=False)])
    assert (row["task"], row["task_offset"]) == ("", 2)
    assert (row["started_at"], row["started_at_offset"]) == (-5, 1)
    assert (repr(row["session_eval"]), row["session_eval_offset"]) == ("0.0", 1)
    assert (row["is_finished"], row["is_finished_offset"]) == (False, 1)
    assert (row["is_successful"], row["is_successful_offset"]) == (False, 3)
    assert (row["session_name"], row["session_name_offset"]) == (None, None)


def test_counts_and_bounds_are_over_all_events() -> None:
    """Also over those that give no field."""
    row = one_row([event(lost_before=2), event(), event(lost_before=2**31 - 1)])
    assert (row["first_offset"], row["last_offset"], row["event_count"]) == (0, 2, 3)
    assert row["lost_before"] == 2**31 + 1


def states_of(batches: Sequence[Log]) -> list[str]:
    """Return the states of batches that are folded and merged one after the other, as text."""
    store = MemoryStore()
    for batch in batches:
        store.commit([], rows_of(batch), [])
    return [repr(state) for state in store.states()]


def expected(log: Log) -> list[str]:
    """Return the plain fold's states. As text: 0.0 and -0.0, 1 and True are equal otherwise."""
    return [repr(state) for state in oracle.ordered(oracle.fold(log).states)]


def without_counts(states: list[str]) -> list[str]:
    """Return states with the columns left out that add up."""
    parsed: list[dict[str, Any]] = [eval(state) for state in states]  # noqa: S307 - our own text
    return [repr({k: v for k, v in state.items() if k not in COUNTS}) for state in parsed]


def rows_of(log: Log) -> list[Row]:
    """Decode and fold records as one batch."""
    return [*fold(decode(batch_of(log)))]


def one_row(events: list[bytes]) -> dict[str, Any]:
    """Fold values of the session "a", at the offsets 0, 1, ..., to its only row."""
    log = [stored(0, offset, b"a", value) for offset, value in enumerate(events)]
    (row,) = rows_of(log)
    return dict(zip(NAMES, row, strict=True))


def event(**given_fields: object) -> bytes:
    """Encode an event of the session "a"."""
    required = {"occurred_at": 0, "producer_id": "p", "sequence": 0, "lost_before": 0}
    return contract.encode({"session_id": "a"} | required | given_fields)
