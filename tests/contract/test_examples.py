"""The example events are valid, and show every field of every version that was published."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import sessionfold_schemas as contract
from tests.contract import goldens

EXAMPLES = Path(__file__).parents[2] / "schemas" / "examples"
FILES = sorted(EXAMPLES.rglob("*.json"))


def version_of(path: Path) -> contract.Contract:
    """Return the published version whose folder a file is in."""
    return next(each for each in contract.published() if f"v{each.version}" == path.parent.name)


def example(path: Path) -> goldens.Event:
    """Return the event of one file."""
    event: goldens.Event = json.loads(path.read_text("utf-8"))
    return event


def test_every_published_version_has_examples_and_no_other_has() -> None:
    """A new version comes with its own; none is removed."""
    folders = {path.name for path in EXAMPLES.iterdir() if path.is_dir()}
    assert folders == {f"v{each.version}" for each in contract.published()}


@pytest.mark.parametrize("version", contract.published(), ids=lambda each: f"v{each.version}")
def test_a_versions_examples_together_give_every_field(version: contract.Contract) -> None:
    """Who adds a field shows what it looks like."""
    given = {name for path in FILES if version_of(path) is version for name in example(path)}
    assert given == {field.name for field in version.fields}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
class TestEveryExample:
    """One file's event, through each encoder and decoder."""

    def test_our_encoder_writes_fastavros_bytes(self, path: Path) -> None:
        """The SDK writes the current version only; the events of others are not for it."""
        version, event = version_of(path), example(path)
        if version is contract.current():
            assert contract.encode(event) == goldens.fastavro_record(version.version, event)

    def test_the_strict_decoder_and_fastavro_read_it(self, path: Path) -> None:
        """The very event; what was not given comes out as None."""
        version, event = version_of(path), example(path)
        record = goldens.fastavro_record(version.version, event)
        writer, decoded = contract.decode(record, key=event["session_id"].encode())
        assert writer is version
        assert decoded == {field.name: event.get(field.name) for field in version.fields}
        assert goldens.fastavro_event(version.version, record) == event

    def test_it_says_only_what_is_given(self, path: Path) -> None:
        """In the contract's order, no null, and easy to read."""
        event = example(path)
        names = [field.name for field in version_of(path).fields]
        assert [name for name in names if name in event] == list(event)
        assert None not in event.values()
        assert path.read_text("utf-8") == json.dumps(event, indent=2, ensure_ascii=False) + "\n"

    def test_the_page_beside_them_names_it(self, path: Path) -> None:
        """An example without a word on what it shows is half of one."""
        links = f"[`{path.name}`]({path.relative_to(EXAMPLES).as_posix()})"
        assert links in (EXAMPLES / "README.md").read_text("utf-8")
