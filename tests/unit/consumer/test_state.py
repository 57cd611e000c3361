"""The state's columns are the contract's: every store, dump and listing is shaped by them."""

from __future__ import annotations

import sessionfold_schemas as contract
from sessionfold_consumer.state import public_columns, state_columns

COLUMNS = {column.name: column for column in state_columns()}


def test_people_read_every_field_and_where_it_came_from() -> None:
    """One name for each state field, the sums, and the bounds of what was folded; in this order."""
    assert public_columns() == (
        *("session_id", "partition", "first_offset", "last_offset", "event_count"),
        *("first_occurred_at", "last_occurred_at", "lost_before"),
        *(field.name for field in contract.current().state_fields),
    )


def test_every_state_field_has_its_offset_beside_it() -> None:
    """The offset tells which record set the value, and which of two values is newer."""
    names = list(COLUMNS)
    for field in contract.current().state_fields:
        value, offset = COLUMNS[field.name], COLUMNS[f"{field.name}_offset"]
        assert names.index(offset.name) == names.index(value.name) + 1
        assert (value.type, value.decided_by) == (field.type, offset.name)
        expected = "earliest" if field.fold == "first" else "latest"
        assert (value.merge, offset.merge, offset.prefers) == (expected, "offset", expected)


def test_no_two_columns_share_a_name() -> None:
    """A field called, say, event_count would overwrite what the fold counts."""
    assert len(COLUMNS) == len(state_columns())


def test_a_sum_has_room_for_many_events() -> None:
    """The event's field has 32 bits; what adds up over a session has 64."""
    for field in contract.current().fields_by_fold("sum"):
        assert (COLUMNS[field.name].type, COLUMNS[field.name].merge) == ("long", "add")
