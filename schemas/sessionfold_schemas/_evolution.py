"""What keeps a contract from following another one: the rules that its history is held to.

Records of every version stay in people's topics, and stores are folded by the newest. So a version
may only add optional fields behind the others; all else would read old records otherwise, fold them
otherwise, or stop services that have not been upgraded yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ._contract import Contract, field_of
from .errors import ContractError

_NAME = re.compile(r"[a-z][a-z0-9_]*")

Schema = dict[str, Any]


def contract_findings(schema: object, before: Contract | None) -> list[str]:
    """Return what is wrong with a contract, one sentence each; none when it may be published.

    Args:
        schema: the contract to judge, as JSON of an ``.avsc`` file has it.
        before: the version that it is to follow; None for the first one.
    """
    problem = _shape_problem(schema)
    if problem is not None:
        return [problem]
    assert isinstance(schema, dict)  # noqa: S101 - its shape was looked at
    found = [*_own_findings(schema)]
    return found if before is None else [*found, *_findings_against(schema, before.avro_schema)]


def _shape_problem(schema: object) -> str | None:
    if not isinstance(schema, dict) or schema.get("type") != "record":
        return "the file is no Avro record; a contract is a record with fields"
    entries = schema.get("fields")
    named = isinstance(entries, list) and all(
        isinstance(each, dict) and isinstance(each.get("name"), str) for each in entries
    )
    if not named or not entries:
        return "the record has no list of fields, each with a name"
    if type(schema.get("version")) is not int or schema["version"] < 1:
        return f"the version is {schema.get('version')!r}; a contract has a whole number from 1 on"
    return None


def _own_findings(schema: Schema) -> Iterator[str]:
    """Yield what is wrong with a contract by itself."""
    entries: list[Schema] = schema["fields"]
    names = [entry["name"] for entry in entries]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            yield f"{name}: there are {names.count(name)} fields of this name; names are unique"
        if not _NAME.fullmatch(name):
            yield f"{name}: a field's name has lower-case letters, digits and _, a letter first"
    for entry in entries:
        problem = _type_problem(entry, schema) or _field_problem(entry)
        if problem is not None:
            yield f"{entry['name']}: {problem}"
    keys = [entry["name"] for entry in entries if entry.get("fold") == "key"]
    if keys != names[:1]:
        yield (
            f"the fold rule key is that of {', '.join(keys) or 'no field'}; the first field, "
            f"{names[0]}, has it, and no other"
        )


def _type_problem(entry: Schema, schema: Schema) -> str | None:
    """Say what makes a type dangerous; whether it is supported is the next question."""
    own_names = (schema.get("name"), f"{schema.get('namespace')}.{schema.get('name')}")
    for avro_type in _types_in(entry.get("type")):
        if isinstance(avro_type, str) and avro_type in own_names:
            return "its type is recursive; a record that names itself has no bound"
        if isinstance(avro_type, dict) and avro_type.get("type") == "array":
            items = avro_type.get("items")
            if _is_empty(items):
                return (
                    f"its items ({json.dumps(items)}) take no bytes, so a count of a few bytes "
                    "would claim any amount of memory; use items that have a size"
                )
    return None


def _types_in(avro_type: object) -> Iterator[object]:
    """Yield a type and all those it is made of."""
    yield avro_type
    if isinstance(avro_type, list):
        parts: list[object] = avro_type
    elif isinstance(avro_type, dict):
        parts = [avro_type.get("items"), avro_type.get("values"), avro_type.get("type")]
        parts += _types_of_fields(avro_type)
    else:
        return
    for part in parts:
        if part is not None:
            yield from _types_in(part)


def _types_of_fields(record: Schema) -> list[object]:
    fields = record.get("fields")
    entries = fields if isinstance(fields, list) else []
    return [entry.get("type") for entry in entries if isinstance(entry, dict)]


def _is_empty(avro_type: object) -> bool:
    """Say whether a value of this type takes no bytes."""
    if isinstance(avro_type, dict):
        if avro_type.get("type") == "record":
            return all(map(_is_empty, _types_of_fields(avro_type)))
        return avro_type.get("type") == "null" or avro_type.get("size") == 0
    return avro_type == "null"


def _field_problem(entry: Schema) -> str | None:
    missing = [each for each in ("type", "fold", "unit", "doc") if not entry.get(each)]
    if missing:
        return f"it has no {' and no '.join(missing)}; every field says what it is"
    try:
        field = field_of(entry)
    except ContractError as error:
        return str(error).removeprefix(f"{entry['name']}: ")
    if field.optional and entry.get("default", "none") is not None:
        return "it has no default of null; an optional field that is not given is null"
    return None


def _findings_against(schema: Schema, before: Schema) -> Iterator[str]:
    """Yield what keeps a contract from following another one."""
    following = before["version"] + 1
    if schema["version"] != following:
        yield f"the version is {schema['version']}; after {before['version']} comes {following}"
    for attribute in ("name", "namespace"):
        if schema.get(attribute) != before.get(attribute):
            yield (
                f"the record's {attribute} is {schema.get(attribute)}; it stays "
                f"{before.get(attribute)}, since records are known by it"
            )
    entries = {entry["name"]: entry for entry in schema["fields"]}
    for entry in before["fields"]:
        yield from _changes(entry, entries.get(entry["name"]))
    names = [entry["name"] for entry in before["fields"]]
    yield from _misplaced([*entries], [name for name in names if name in entries])
    for name, entry in entries.items():
        if name not in names and not isinstance(entry.get("type"), list):
            yield (
                f"{name}: a new field is optional, a union of null and its type: records that "
                "were written before do not have it"
            )


def _misplaced(names: list[str], old: list[str]) -> Iterator[str]:
    """Yield what is wrong with the order of fields.

    Args:
        names: all fields of the contract.
        old: those of them that there were, in their order.
    """
    kept = [name for name in names if name in old]
    if kept != old:
        yield f"the order of the fields is {', '.join(kept)}; it stays {', '.join(old)}"
        return
    early = [name for name in names[: len(old)] if name not in old]
    for name in early:
        yield f"{name}: a new field stands behind all that there were"


def _changes(before: Schema, after: Schema | None) -> Iterator[str]:
    name = before["name"]
    if after is None:
        yield (
            f"{name}: the field is gone or has another name; it stays, since records and stores "
            "have it (who does not need it leaves it out of events)"
        )
        return
    if after.get("type") != before["type"]:
        types = json.dumps(after.get("type")), json.dumps(before["type"])
        yield "{}: the type is {}; it stays {}; add another field".format(name, *types)
    if after.get("fold") != before["fold"]:
        yield (
            f"{name}: the fold rule is {after.get('fold')}; it stays {before['fold']}, since "
            "stores were folded by it; add another field"
        )
