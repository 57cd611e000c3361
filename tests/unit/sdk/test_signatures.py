"""The calls' signatures are the surface that workers were written against, and the contract's."""

from __future__ import annotations

import inspect

import pytest

import sessionfold as lai
from sessionfold_schemas import current

INIT = (
    "session_name, session_id, api_key, agent_id, task, providers, production_monitoring=False, "
    "experiment_id, evaluators, tags, datasetitem_id, masking_function, auto_end=True, "
    "capture_uncaught=True"
)
UPDATE = "task, session_eval, session_eval_reason, is_successful, is_successful_reason, session_id"
END = (
    "session_eval, session_eval_reason, is_successful, is_successful_reason, wait_for_flush, "
    "session_id"
)

BY_INIT = {"session_name", "agent_id", "experiment_id", "datasetitem_id", "tags"}
BY_THE_SDK = {"is_finished", "started_at", "ended_at"}


def parameters(name: str) -> list[inspect.Parameter]:
    """Return the parameters of a public call."""
    return list(inspect.signature(getattr(lai, name)).parameters.values())


def spelled(parameter: inspect.Parameter) -> str:
    """Write a parameter as above: its default only when that is not None."""
    default = parameter.default
    return parameter.name if default is None else f"{parameter.name}={default}"


@pytest.mark.parametrize(
    ("call", "signature"),
    [
        ("init", INIT),
        ("create_session", INIT),
        ("update_session", UPDATE),
        ("aupdate_session", UPDATE),
        ("end_session", END),
        ("aend_session", END),
    ],
)
def test_names_order_and_defaults_are_the_documented_ones(call: str, signature: str) -> None:
    """Workers pass by position, too; a default that is not None is part of the surface."""
    assert ", ".join(spelled(each) for each in parameters(call)) == signature


def test_every_field_of_the_contract_can_be_given() -> None:
    """A field that is added to the ``.avsc`` must be added here: nothing else could set it."""
    names = [field.name for field in current().state_fields]
    update = [each.name for each in parameters("update_session")]
    assert [name for name in names if name not in BY_INIT | BY_THE_SDK] == update[:-1]
    assert {each.name for each in parameters("init")} >= BY_INIT


def test_no_call_takes_a_field_that_the_contract_has_not() -> None:
    """What looks like a field is one."""
    names = {field.name for field in current().fields}
    assert {each.name for each in parameters("update_session")} <= names
    others = {each.name for each in parameters("end_session")} - {"wait_for_flush"}
    assert others <= names
