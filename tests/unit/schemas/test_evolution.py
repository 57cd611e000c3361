"""A contract that breaks what its history has promised is refused, with all that is wrong."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import sessionfold_schemas as contract

CURRENT = contract.current()

Schema = dict[str, Any]
Change = Callable[[Schema], object]

NEW_FIELD: Schema = {
    "name": "mood",
    "type": ["null", "string"],
    "default": None,
    "fold": "last",
    "unit": "text",
    "doc": "How it feels.",
}


def test_every_published_version_follows_the_one_before() -> None:
    """The rules hold for what was published, so that they may be asked of what comes."""
    versions = contract.published()
    for before, after in zip((None, *versions), versions, strict=False):
        assert contract.contract_findings(after.avro_schema, before) == [], after.version


def test_a_field_more_is_the_way_to_go_on() -> None:
    """Behind the others, optional, folded by last or first, of any type that there is."""
    for value_type in ("string", "double", {"type": "array", "items": "string"}):
        for fold in ("last", "first"):
            assert found(_with(type=["null", value_type], fold=fold)) == []


def test_words_may_change() -> None:
    """Descriptions and units are for people."""
    assert found(lambda schema: schema["fields"][6].update(doc="Other words.", unit="words")) == []


def _renamed(schema: Schema) -> None:
    schema["fields"][-1]["name"] = "labels"


def _swapped(schema: Schema) -> None:
    fields = schema["fields"]
    fields[6], fields[7] = fields[7], fields[6]


def _with(**changes: Any) -> Change:  # noqa: ANN401 - JSON
    return lambda schema: schema["fields"].append(NEW_FIELD | changes)


def _without(name: str) -> Change:
    return lambda schema: schema["fields"].append(
        {key: value for key, value in NEW_FIELD.items() if key != name}
    )


def _array(items: object) -> list[object]:
    return ["null", {"type": "array", "items": items}]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda schema: schema["fields"].pop(6), "task: the field is gone or has another name"),
        (_renamed, "tags: the field is gone or has another name"),
        (
            lambda schema: schema["fields"][6].update(type=["null", "double"]),
            'task: the type is ["null", "double"]; it stays ["null", "string"]; add another field',
        ),
        (
            lambda schema: schema["fields"][6].update(fold="first"),
            "task: the fold rule is first; it stays last",
        ),
        (_swapped, "the order of the fields is session_id, "),
        (
            lambda schema: schema["fields"].insert(6, NEW_FIELD),
            "mood: a new field stands behind all that there were",
        ),
        (_without("default"), "mood: it has no default of null"),
        (_with(default="good"), "mood: it has no default of null"),
        (_with(type="string", fold="none"), "mood: a new field is optional"),
        (_with(type="long", fold="sum"), "mood: a new field is optional"),
        (_with(fold="sum"), "mood: fields folded by last or first, and no others, are optional"),
        (_with(fold="median"), "mood: unknown fold rule 'median'"),
        (_with(type="string", fold="key"), "the fold rule key is that of session_id, mood;"),
        (_with(type=["null", "bytes"]), 'mood: the type "bytes" is not supported'),
        (_with(type=["string", "null"]), "mood: a union must be null and one type, null first"),
        (_with(type=_array("null")), 'mood: its items ("null") take no bytes'),
        (_with(type=_array({"type": "null"})), "mood: its items "),
        (
            _with(type=_array({"type": "record", "name": "Nothing", "fields": []})),
            "mood: its items ",
        ),
        (_with(type=_array({"type": "fixed", "name": "None", "size": 0})), "mood: its items "),
        (_with(type=_array("long")), "mood: the type "),
        (_with(type=["null", "SessionUpdated"]), "mood: its type is recursive"),
        (_with(type=_array("sessionfold.SessionUpdated")), "mood: its type is recursive"),
        (
            _with(
                type=["null", {"type": "record", "name": "Inner", "fields": [
                    {"name": "outer", "type": ["null", "SessionUpdated"]},
                ]}]
            ),
            "mood: its type is recursive",
        ),
        (_with(name="task"), "task: there are 2 fields of this name"),
        (_with(name="Mood!"), "Mood!: a field's name has lower-case letters"),
        (_without("unit"), "mood: it has no unit"),
        (lambda schema: schema.update(version=2), "the version is 2; after 2 comes 3"),
        (lambda schema: schema.update(version=4), "the version is 4; after 2 comes 3"),
        (lambda schema: schema.update(version=True), "the version is True; "),
        (lambda schema: schema.update(name="Other"), "the record's name is Other; it stays "),
        (lambda schema: schema.update(namespace="x"), "the record's namespace is x; it stays "),
        (lambda schema: schema.update(type="enum"), "the file is no Avro record"),
        (lambda schema: schema.update(fields=[]), "the record has no list of fields"),
        (lambda schema: schema["fields"].append("mood"), "the record has no list of fields"),
    ],
)  # fmt: skip
def test_what_breaks_is_refused(change: Change, finding: str) -> None:
    """Each in one sentence that begins with what it is about."""
    assert any(each.startswith(finding) for each in found(change)), found(change)


def test_all_that_is_wrong_is_said() -> None:
    """One round of changes is enough."""

    def everything(schema: Schema) -> None:
        schema["version"] = 7
        del schema["fields"][6]
        schema["fields"][6]["fold"] = "first"
        _with(fold="median", type=_array("null"))(schema)
        _with(name="other", type="string", fold="none")(schema)

    subjects = [each.partition(":")[0].partition(" is ")[0] for each in found(everything)]
    assert subjects == ["mood", "the version", "task", "session_eval", "other"]


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.sampled_from(("null", "record", "array", "x")),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(("type", "items", "fields", "name", "version", "fold", "size")),
                inner,
            )
        ),
        max_leaves=12,
    )
)
def test_whatever_a_file_holds_is_judged(schema: object) -> None:
    """As a whole contract, and as a new field's type; it never raises."""
    assert contract.contract_findings(schema, None)
    assert found(_with(type=["null", schema])) or schema in ("string", "long", "double")
    assert found(lambda current: current.update(name=schema))
    assert found(lambda current: current["fields"][3].update(fold=schema))


def found(change: Change) -> list[str]:
    """Return what is found wrong with a next version that has a change."""
    schema = copy.deepcopy(CURRENT.avro_schema)
    schema["version"] = CURRENT.version + 1
    change(schema)
    return contract.contract_findings(schema, CURRENT)
