"""The page on the contract says what the contract is."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner

import sessionfold_schemas as contract
from sessionfold_consumer.cli import main
from sessionfold_consumer.store import postgres_migrations, sqlite_migrations
from tests.docs import markdown

PAGE = markdown.ROOT / "docs" / "contract.md"


def test_the_versions_are_those_that_were_published() -> None:
    """With their fingerprints, what each added, and the stores that are shaped by them."""
    table = next(iter(markdown.tables(PAGE).values()))
    before: set[str] = set()
    expected = []
    for each in contract.published():
        names = [field.name for field in each.fields]
        added = ", ".join(f"`{name}`" for name in names if before and name not in before)
        stores = [
            ", ".join(str(n) for n, version in found.items() if version == each.version)
            for found in (
                sqlite_migrations.CONTRACT_VERSIONS,
                postgres_migrations.CONTRACT_VERSIONS,
            )
        ]
        expected.append([str(each.version), f"`{each.fingerprint.hex()}`", added, *stores])
        before = {*names}
    assert [list(row) for row in table] == expected


def test_the_findings_are_those_of_the_command(tmp_path: Path) -> None:
    """Of the change that the page describes."""
    schema = json.loads(json.dumps(contract.current().avro_schema))
    schema["version"] += 1
    fields = {entry["name"]: entry for entry in schema["fields"]}
    fields["task"]["name"] = "job"
    fields["is_finished"]["type"] = ["null", "int"]
    file = tmp_path / "next.avsc"
    file.write_text(json.dumps(schema))
    (shown,) = markdown.blocks(PAGE, "text")
    assert CliRunner().invoke(main, ["schema", "check", str(file)]).stdout == shown.text


def test_the_bound_of_a_list_is_the_contracts() -> None:
    """On the pages that name it, and in the contract's own words."""
    bound = str(contract.MAX_ITEMS)
    for page in (
        PAGE,
        markdown.ROOT / "docs" / "guide.md",
        markdown.ROOT / "docs" / "operations.md",
    ):
        assert f" {bound} " in page.read_text("utf-8")
    (tags,) = [field for field in contract.current().fields if field.type == "strings"]
    assert f"0 to {bound} texts" in tags.unit
