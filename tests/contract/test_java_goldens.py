"""Java and Python agree, byte for byte, on what a record is.

The committed goldens hold every published version of the contract: a record that some worker wrote
years ago must still be read, and read the same, by a consumer in either language.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import sessionfold_schemas as contract
from tests.conftest import require
from tests.contract import goldens

VERSIONS = goldens.versions()
EVENTS = [(version, event) for version in VERSIONS for event in goldens.events(version)]
RECORDS = [
    (version, bytes.fromhex(line))
    for version in VERSIONS
    for line in goldens.golden(version, "records.hex").split()
]


def test_every_published_version_has_goldens() -> None:
    """A new version of the contract comes with its goldens, and none is ever removed."""
    assert [each.version for each in contract.published()] == VERSIONS


def test_every_event_has_a_record() -> None:
    """Otherwise the tests below would compare less than they seem to."""
    assert len(EVENTS) == len(RECORDS) >= 25 * len(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_java_and_python_compute_the_same_fingerprint(version: int) -> None:
    """Both see the same canonical form: without logical types, docs and our own attributes.

    Java gives a number; the wire holds it in little-endian order, which is fastavro's hex.
    """
    form, number = goldens.golden(version, "canonical.txt").split()
    ours = next(each for each in contract.published() if each.version == version)
    assert goldens.fastavro_canonical_form(version) == form
    assert int(number, 16).to_bytes(8, "little") == ours.fingerprint
    assert goldens.fastavro_fingerprint(version) == ours.fingerprint


@pytest.mark.parametrize(
    ("version", "event", "record"),
    [(*given, record) for given, (_, record) in zip(EVENTS, RECORDS, strict=True)],
    ids=[f"v{version}-{number}" for number, (version, _) in enumerate(EVENTS)],
)
class TestEveryGoldenRecord:
    """One event, the record that Java wrote, and what each implementation makes of them."""

    def test_fastavro_writes_javas_bytes(
        self, version: int, event: goldens.Event, record: bytes
    ) -> None:
        """The reference encoder of this project's tests agrees with Java."""
        assert goldens.fastavro_record(version, event) == record

    def test_fastavro_reads_javas_bytes(
        self, version: int, event: goldens.Event, record: bytes
    ) -> None:
        """The reference decoder agrees with Java."""
        assert goldens.fastavro_event(version, record) == event

    def test_our_encoder_writes_javas_bytes(
        self, version: int, event: goldens.Event, record: bytes
    ) -> None:
        """The SDK writes the current version only; earlier ones are only read."""
        if version == contract.current().version:
            assert contract.encode(event) == record

    def test_our_decoder_reads_javas_bytes(
        self, version: int, event: goldens.Event, record: bytes
    ) -> None:
        """A field that the event does not give comes out as None."""
        writer, decoded = contract.decode(record, key=event["session_id"].encode())
        assert writer.version == version
        assert {name: value for name, value in decoded.items() if value is not None} == event


@pytest.mark.parametrize("version", VERSIONS)
def test_java_read_our_records(version: int) -> None:
    """From the bytes that Python wrote, Java read the very events."""
    assert goldens.parse_events(goldens.golden(version, "read_back.jsonl")) == goldens.events(
        version
    )


@pytest.mark.java
@pytest.mark.parametrize("version", VERSIONS)
def test_the_goldens_are_what_java_writes(version: int, tmp_path: Path) -> None:
    """Run Java again: the committed files are its work, not ours."""
    require(goldens.missing_java())
    goldens.write(version, tmp_path)
    for name in ("canonical.txt", "records.hex"):
        assert (tmp_path / name).read_text("utf-8") == goldens.golden(version, name), name
    # Java releases differ in how they spell a double, not in which one they mean.
    read_back = goldens.parse_events((tmp_path / "read_back.jsonl").read_text("utf-8"))
    assert read_back == goldens.parse_events(goldens.golden(version, "read_back.jsonl"))
