"""``sessionfold schema``: what the contract is, and whether a next version may be published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import sessionfold_schemas as contract
from tests.unit.consumer.conftest import CommandLine

SCHEMAS = Path(contract.__file__).parent
FILES = [SCHEMAS / "session_updated.avsc", *(SCHEMAS / "published").glob("*.avsc")]


def next_version(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the current contract with the next number, and its last field changed."""
    schema: dict[str, Any] = json.loads(json.dumps(contract.current().avro_schema))
    schema["version"] += 1
    schema["fields"][-1] |= changes
    return schema


def written(path: Path, schema: object) -> str:
    """Write a contract to a file, and return its name."""
    path.write_text(json.dumps(schema))
    return str(path)


def test_each_version_is_shown(cli: CommandLine) -> None:
    """As it was published, with fold rules, units and descriptions; the newest by default."""
    for each in contract.published():
        shown = cli("schema", "show", "--version", str(each.version)).stdout
        assert json.loads(shown) == each.avro_schema
    assert json.loads(cli("schema", "show").stdout)["fields"][-1]["name"] == "tags"


def test_each_version_has_a_fingerprint(cli: CommandLine) -> None:
    """As on the wire, and the digest of all of it."""
    rows = json.loads(cli("schema", "fingerprint", "--json").stdout)
    assert [(row["version"], row["fingerprint"], row["digest"]) for row in rows] == [
        (each.version, each.fingerprint.hex(), each.digest) for each in contract.published()
    ]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_was_published_may_be(cli: CommandLine, file: Path) -> None:
    """Each file of the package, against the version before its own."""
    result = cli("schema", "check", str(file))
    assert (result.exit_code, result.stdout.endswith(": nothing breaks\n")) == (0, True)


def test_a_next_version_is_checked_against_the_newest(cli: CommandLine, tmp_path: Path) -> None:
    """Also one that has the number of a published version, but not its content."""
    good = written(tmp_path / "good.avsc", next_version())
    assert cli("schema", "check", good).stdout == "version 3 follows version 2: nothing breaks\n"
    same = written(tmp_path / "same.avsc", next_version(doc="Other.") | {"version": 2})
    result = cli("schema", "check", same)
    assert result.exit_code == 25
    assert result.stdout == "the version is 2; after 2 comes 3\n"


def test_all_findings_are_listed(cli: CommandLine, tmp_path: Path) -> None:
    """One a line; the sentence at the end says how many, and the exit code is its own."""
    broken = written(tmp_path / "broken.avsc", next_version(fold="first", name="tag\x1b[2Js"))
    result = cli("schema", "check", broken)
    assert result.exit_code == 25
    assert len(result.stdout.splitlines()) == 2
    assert "\x1b" not in result.output
    assert f"{broken} may not be published: 2 findings" in result.stderr


def test_it_may_be_checked_against_another_file(cli: CommandLine, tmp_path: Path) -> None:
    """As between two versions that are not published yet."""
    third = written(tmp_path / "third.avsc", next_version())
    fourth = written(tmp_path / "fourth.avsc", next_version() | {"version": 4})
    checked = cli("schema", "check", fourth, "--against", third)
    assert checked.stdout == "version 4 follows version 3: nothing breaks\n"
    assert cli("schema", "check", fourth).exit_code == 25


@pytest.mark.parametrize("content", [b"no JSON", b"\xff", b"[" * 100_000])
def test_what_is_no_contract_is_said(cli: CommandLine, tmp_path: Path, content: bytes) -> None:
    """Whichever of the two files it is."""
    bad = tmp_path / "bad.avsc"
    bad.write_bytes(content)
    for arguments in ([str(bad)], [str(FILES[0]), "--against", str(bad)]):
        result = cli("schema", "check", *arguments)
        assert result.exit_code == 3
        assert "cannot be read as JSON" in result.stderr
    bad.write_text("{}")
    result = cli("schema", "check", str(FILES[0]), "--against", str(bad))
    assert result.exit_code == 3
    assert "is no contract to check against: the file is no Avro record" in result.stderr
