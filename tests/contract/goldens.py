"""Golden records: what Avro's Java implementation makes of the same events.

``make goldens`` (``python -m tests.contract.goldens``) writes them anew, with Java and Maven. See
``golden/README.md``.
"""

from __future__ import annotations

import io
import json
import sys
from functools import cache
from pathlib import Path
from typing import Any

import fastavro
from fastavro.schema import fingerprint, to_parsing_canonical_form

from tests.services import maven

Event = dict[str, Any]

GOLDEN = Path(__file__).with_name("golden")
WRITTEN = ("canonical.txt", "records.hex", "read_back.jsonl")
"""The files that Java writes; ``events.jsonl`` beside them is written by hand."""

_SCHEMAS = Path(__file__).parents[2] / "schemas" / "sessionfold_schemas"
_JAVA = Path(__file__).with_name("java")
_POM = _JAVA / "pom.xml"
_PROGRAM = _JAVA / "src" / "main" / "java" / "Goldens.java"


def versions() -> list[int]:
    """Return the contract versions that have goldens, oldest first."""
    return sorted(int(folder.name[1:]) for folder in GOLDEN.iterdir() if folder.is_dir())


def golden(version: int, name: str) -> str:
    """Return the text of one committed golden file."""
    return (GOLDEN / f"v{version}" / name).read_text("utf-8")


def events(version: int) -> list[Event]:
    """Return the golden events; a field that is not given is absent."""
    return parse_events(golden(version, "events.jsonl"))


def parse_events(text: str) -> list[Event]:
    """Read JSON lines. They end with a line feed and nothing else: texts hold U+0085 and U+2028."""
    return [json.loads(line) for line in text.rstrip("\n").split("\n")]


def schema_path(version: int) -> Path:
    """Return the ``.avsc`` file of a version, the current one or one that was published before."""
    for path in (_SCHEMAS / "session_updated.avsc", *(_SCHEMAS / "published").glob("*.avsc")):
        if json.loads(path.read_text("utf-8"))["version"] == version:
            return path
    raise LookupError(f"no .avsc file has version {version}; was it removed from published/?")


def fastavro_record(version: int, event: Event) -> bytes:
    """Encode with fastavro: C3 01, the fingerprint in little-endian order, the body."""
    schema = _parsed_schema(version)
    full = {field["name"]: event.get(field["name"]) for field in schema["fields"]} | event
    body = io.BytesIO()
    fastavro.schemaless_writer(body, schema, full, strict=True)
    return b"\xc3\x01" + fastavro_fingerprint(version) + body.getvalue()


def fastavro_event(version: int, record: bytes) -> Event:
    """Decode with fastavro; fields that are null are left out, as in the golden events."""
    header = b"\xc3\x01" + fastavro_fingerprint(version)
    if not record.startswith(header):
        raise ValueError(f"the record does not start with {header.hex()}")
    body = io.BytesIO(record.removeprefix(header))
    event = fastavro.schemaless_reader(body, _parsed_schema(version), None)
    if not isinstance(event, dict) or body.read():
        raise ValueError("the record is not one event")
    return {name: value for name, value in event.items() if value is not None}


def fastavro_fingerprint(version: int) -> bytes:
    """Return fastavro's CRC-64-AVRO; its hex is in the order of the wire (little-endian)."""
    return bytes.fromhex(fingerprint(fastavro_canonical_form(version), "CRC-64-AVRO"))


def fastavro_canonical_form(version: int) -> str:
    """Return fastavro's Parsing Canonical Form of the version's schema."""
    return to_parsing_canonical_form(json.loads(schema_path(version).read_text("utf-8")))


def missing_java() -> str | None:
    """Return None when :func:`write` can run, else one sentence: what is missing, how to get it."""
    return maven.missing_java(_installation())


def write(version: int, folder: Path) -> None:
    """Write the files of ``WRITTEN`` into ``folder`` with Java.

    Raises:
        JavaError: when Maven or the program fails.
    """
    records = _run_java("write", version, golden(version, "events.jsonl"))
    ours = [fastavro_record(version, event).hex() for event in events(version)]
    texts = {
        "canonical.txt": _run_java("canonical", version),
        "records.hex": records,
        "read_back.jsonl": _run_java("read", version, "\n".join(ours) + "\n"),
    }
    for name in WRITTEN:
        (folder / name).write_text(texts[name], "utf-8", newline="\n")


@cache
def _parsed_schema(version: int) -> Any:  # noqa: ANN401 - fastavro's own type is a wide union
    # Java here has no calendar types, so timestamps are compared as the integers they are.
    return fastavro.parse_schema(json.loads(fastavro_canonical_form(version)))


def _installation() -> Path:
    return maven.installation_folder("avro", _POM, "avro.version")


def _run_java(mode: str, version: int, stdin: str = "") -> str:
    installation = _installation()
    maven.install(_POM, installation)
    program = ["-cp", "lib/*", str(_PROGRAM), mode, str(schema_path(version))]
    return maven.run([maven.java(), *program], cwd=installation, stdin=stdin)


def main() -> int:
    """Write the golden files of every version anew; return the exit code."""
    missing = missing_java()
    if missing is not None:
        print(missing, file=sys.stderr)
        return 1
    for version in versions():
        write(version, GOLDEN / f"v{version}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
