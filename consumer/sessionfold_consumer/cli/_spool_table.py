"""How the spool looks: as JSON for programs, as a table for people, without any extra installed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ._output import age, iso, printable

if TYPE_CHECKING:
    from sessionfold.spool import SpoolFile, Status

_HEADERS = ("TOPIC", "BROKERS", "EVENTS", "UPDATES", "BYTES", "AGE", "OWNER", "DAMAGED", "FILE")
_RIGHT = {"EVENTS", "UPDATES", "BYTES", "AGE", "DAMAGED"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def table(found: Status, now_microseconds: int) -> Iterator[str]:
    """Yield the lines of the table, and one of sums."""
    rows = [_row(file, now_microseconds) for file in found.files]
    rows += [("-",) * 7 + (f"{each.damaged_bytes:,}", each.name) for each in found.remains]
    yield from _aligned([_HEADERS, *sorted(rows, key=lambda row: row[-1])])
    for each in found.unreadable:
        yield printable(f"cannot be read: {each.reason}")
    calls = counted(sum(file.calls for file in found.files), "update")
    events = counted(sum(file.events for file in found.files), "event")
    size = counted(sum(file.size_bytes for file in found.files), "byte")
    damaged = counted(sum(found.damaged.values()), "damaged byte")
    files = counted(len(found.names), "file")
    yield f"{files}, {events} with {calls}, {size}, {damaged}, in {printable(str(found.directory))}"


def json_status(found: Status) -> dict[str, Any]:
    """Return the same as JSON values."""
    return {
        "directory": str(found.directory),
        "events": sum(file.events for file in found.files),
        "updates": sum(file.calls for file in found.files),
        "bytes": sum(file.size_bytes for file in found.files),
        "damaged_bytes": sum(found.damaged.values()),
        "files": [_json_file(file) for file in found.files],
        "remains": [
            {"name": each.name, "damaged_bytes": each.damaged_bytes} for each in found.remains
        ],
        "unreadable": [{"name": each.name, "reason": each.reason} for each in found.unreadable],
    }


def counted(number: int, word: str) -> str:
    """Return a number with its word: ``1 file``, ``1,204 files``."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _row(file: SpoolFile, now_microseconds: int) -> tuple[str, ...]:
    return (
        file.header.topic or "?",
        file.header.bootstrap_servers or "?",
        f"{file.events:,}",
        f"{file.calls:,}",
        f"{file.size_bytes:,}",
        "-" if file.oldest is None else age(_microseconds(file.oldest), now_microseconds),
        "alive" if file.owner_alive else "gone",
        f"{file.damaged_bytes:,}",
        file.name,
    )


def _json_file(file: SpoolFile) -> dict[str, Any]:
    return {
        "name": file.name,
        "topic": file.header.topic or None,
        "bootstrap_servers": file.header.bootstrap_servers or None,
        "events": file.events,
        "updates": file.calls,
        "bytes": file.size_bytes,
        "oldest": None if file.oldest is None else iso(_microseconds(file.oldest)),
        "owner_alive": file.owner_alive,
        "behind": list(file.header.behind),
        "damaged_bytes": file.damaged_bytes,
    }


def _aligned(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for row in shown:
        cells = [
            cell.rjust(width) if header in _RIGHT else cell.ljust(width)
            for cell, width, header in zip(row, widths, _HEADERS, strict=True)
        ]
        yield "  ".join(cells).rstrip()


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)
