"""The contract as data is what the ``.avsc`` says, and a bad ``.avsc`` does not load."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

import sessionfold_schemas as contract
from sessionfold_schemas import _contract

CURRENT = contract.current()

Schema = dict[str, Any]

TABLE = """
    session_id            string     key
    occurred_at           timestamp  first_and_last
    producer_id           string     none
    sequence              long       none
    lost_before           int        sum
    session_name          string?    last
    task                  string?    last
    session_eval          double?    last
    session_eval_reason   string?    last
    is_successful         boolean?   last
    is_successful_reason  string?    last
    is_finished           boolean?   last
    started_at            timestamp? first
    ended_at              timestamp? last
    agent_id              string?    last
    experiment_id         string?    last
    datasetitem_id        string?    last
    tags                  strings?   last
"""


def test_the_fields_are_those_of_the_design() -> None:
    """Names, order, types, what may be absent, and how each is folded."""
    rows = [f"{f.name} {f.type}{'?' * f.optional} {f.fold}" for f in CURRENT.fields]
    assert rows == [" ".join(line.split()) for line in TABLE.strip().splitlines()]


def test_every_field_says_what_it_means_and_in_which_unit() -> None:
    """The ``.avsc`` is the only place where a field is described."""
    assert [f.name for f in CURRENT.fields if not f.doc or not f.unit] == []


def test_every_fold_rule_is_described_where_it_is_defined() -> None:
    """Who writes a field's rule into the ``.avsc`` reads there what it does."""
    source = Path(_contract.__file__).read_text("utf-8")
    described = source.partition("FoldRule = ")[2].partition('"""')[2].partition('"""')[0]
    found = re.findall(r"^- ``(\w+)``: \S", described, re.MULTILINE)
    assert found == list(get_args(contract.FoldRule))


def test_fields_are_found_by_their_fold_rule() -> None:
    """What has a value and an offset in the state is what is folded by last or first."""
    assert CURRENT.key.name == "session_id"
    assert [f.name for f in CURRENT.fields_by_fold("sum")] == ["lost_before"]
    assert [f.name for f in CURRENT.fields_by_fold("first")] == ["started_at"]
    assert [f for f in CURRENT.fields if f.optional] == list(CURRENT.state_fields)


def test_every_published_version_is_found_by_fingerprint_and_number() -> None:
    """Records of any age can be read; the current version is the newest."""
    versions = contract.published()
    assert [contract.by_version(each.version) for each in versions] == list(versions)
    assert [contract.by_fingerprint(each.fingerprint) for each in versions] == list(versions)
    assert versions[-1] is CURRENT
    assert [each.version for each in versions] == sorted({each.version for each in versions})


@pytest.mark.parametrize("fingerprint", [b"", b"\0" * 8, CURRENT.fingerprint[::-1]])
def test_an_unknown_fingerprint_is_refused(fingerprint: bytes) -> None:
    """The error holds the fingerprint and says that this side is the one to upgrade."""
    with pytest.raises(contract.UnknownFingerprintError, match="upgrade this side") as caught:
        contract.by_fingerprint(fingerprint)
    assert caught.value.fingerprint == fingerprint


def test_a_version_that_was_not_published_is_refused() -> None:
    """The message names it."""
    with pytest.raises(contract.ContractError, match="no version 99 of SessionUpdated"):
        contract.by_version(99)


def test_the_digest_sees_what_the_fingerprint_does_not() -> None:
    """A store that was folded by other rules must be told apart, though the bytes are alike."""

    def refold(schema: Schema) -> None:
        schema["fields"][5]["fold"] = "first"

    changed = _loaded(refold)
    assert changed.fingerprint == CURRENT.fingerprint
    assert changed.digest != CURRENT.digest
    assert _loaded(lambda _: None).digest == CURRENT.digest


def _without_a_key(schema: Schema) -> None:
    schema["fields"][0]["fold"] = "none"


def _with_the_key_second(schema: Schema) -> None:
    fields = schema["fields"]
    fields[0], fields[1] = fields[1], fields[0]


def _with_an_unknown_rule(schema: Schema) -> None:
    schema["fields"][5]["fold"] = "median"


def _with_an_unknown_type(schema: Schema) -> None:
    schema["fields"][5]["type"] = ["null", "bytes"]


def _with_null_second(schema: Schema) -> None:
    schema["fields"][5]["type"] = ["string", "null"]


def _with_a_state_field_that_is_always_given(schema: Schema) -> None:
    schema["fields"][5]["type"] = "string"


def _with_an_audit_field_that_may_be_absent(schema: Schema) -> None:
    schema["fields"][3]["type"] = ["null", "long"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (_without_a_key, "first field"),
        (_with_the_key_second, "first field"),
        (_with_an_unknown_rule, "session_name: unknown fold rule 'median'"),
        (_with_an_unknown_type, 'session_name: the type "bytes" is not supported'),
        (_with_null_second, "session_name: a union must be null and one type"),
        (_with_a_state_field_that_is_always_given, "session_name: .* are optional"),
        (_with_an_audit_field_that_may_be_absent, "sequence: .* are optional"),
    ],
)
def test_a_contract_that_the_project_cannot_keep_does_not_load(
    change: Callable[[Schema], None], problem: str
) -> None:
    """A slip in the ``.avsc`` shows at once, with the field's name, not as a wrong state later."""
    with pytest.raises(contract.ContractError, match=problem):
        _loaded(change)


def _loaded(change: Callable[[Schema], None]) -> contract.Contract:
    schema = json.loads(json.dumps(CURRENT.avro_schema))
    change(schema)
    return _contract._load(json.dumps(schema))
