"""Store against log, both ways: what is missing, what is too much, and which field is another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..store import FATAL_REASON
from .prefix import Aside
from .reference import ReferenceFold, SessionKey, Values, columns
from .report import Difference, Findings, NoteKind
from .stored import Image, Listed, Place

_NOTHING = "nothing"

_RETRIABLE = {FATAL_REASON, "unknown_schema"}
"""Reasons that say nothing of the record: it was not decoded, or by a program that was too old."""

_RETRIABLE_WORDS = "valid events that were set aside and may be retried"
_DROPPED_WORDS = "valid events that were set aside and dropped"


def compare_states(
    fold: ReferenceFold, stored: Mapping[SessionKey, Values], findings: Findings
) -> None:
    """Find the sessions that the store lacks, has too many of, or has otherwise."""
    expected = {
        key: values for key, values in fold.states() if not _all_same(stored.get(key, ()), values)
    }
    unknown = [key for key in stored if key not in fold]
    for key in sorted([*expected, *unknown], key=lambda key: (str(key[0]), key[1])):
        if key not in expected:
            findings.add(_of_state(key, None, _events(stored[key]), _NOTHING))
        elif key not in stored:
            findings.add(_of_state(key, None, _NOTHING, _events(expected[key])))
        else:
            for name, found, wanted in zip(columns(), stored[key], expected[key], strict=True):
                if not is_same(found, wanted):
                    findings.add(_of_state(key, name, found, wanted))


def compare_letters(
    asides: Mapping[Place, Aside], letters: Mapping[Place, Listed], findings: Findings
) -> None:
    """Find records that should be listed and are not, are listed otherwise, or should not be."""
    for place in sorted(asides.keys() - letters.keys()):
        expected = f"a dead letter ({asides[place].reason})"
        findings.add(_of_letter(place, None, _NOTHING, expected))
    for place, listed in letters.items():
        aside = asides.get(place)
        if aside is None:
            expected = "no record before the position"
            findings.add(_of_letter(place, None, _set_aside(listed), expected))
        else:
            _compare_letter(place, listed, aside, findings)
    _note_valid(asides, letters, findings)


def _compare_letter(place: Place, listed: Listed, aside: Aside, findings: Findings) -> None:
    for name, found, wanted in zip(Image._fields, listed.image, aside.image, strict=True):
        if found != wanted:
            findings.add(_of_letter(place, name, found, wanted))
    if aside.reason is None:
        if listed.status == "open" and listed.reason not in _RETRIABLE:
            findings.add(_of_letter(place, None, _set_aside(listed), "a valid event"))
        return
    if listed.status == "retried":
        findings.add(_of_letter(place, "status", "retried", "open"))
    if listed.reason not in (aside.reason, *_RETRIABLE):
        findings.add(_of_letter(place, "reason", listed.reason, aside.reason))


def _note_valid(
    asides: Mapping[Place, Aside], letters: Mapping[Place, Listed], findings: Findings
) -> None:
    valid = [place for place in letters if place in asides and asides[place].reason is None]
    dropped = [place for place in valid if letters[place].status == "dropped"]
    retriable = [
        place
        for place in valid
        if letters[place].status == "open" and letters[place].reason in _RETRIABLE
    ]
    _note(findings, "retriable", retriable, _RETRIABLE_WORDS)
    _note(findings, "dropped", dropped, _DROPPED_WORDS)


def _note(findings: Findings, kind: NoteKind, places: Sequence[Place], words: str) -> None:
    if places:
        partition, offset = min(places)
        findings.note(kind, f"{words}: {len(places):,}, the first at {partition}:{offset}")


def _of_state(key: SessionKey, field: str | None, stored: Any, expected: Any) -> Difference:  # noqa: ANN401
    return Difference(
        kind="state",
        session_id=key[0],
        partition=key[1],
        field=field,
        stored=stored,
        expected=expected,
    )


def _of_letter(place: Place, field: str | None, stored: Any, expected: Any) -> Difference:  # noqa: ANN401
    return Difference(
        kind="dead_letter",
        partition=place[0],
        offset=place[1],
        field=field,
        stored=stored,
        expected=expected,
    )


def _all_same(stored: Values, expected: Values) -> bool:
    return len(stored) == len(expected) and all(map(is_same, stored, expected))


def is_same(stored: Any, expected: Any) -> bool:  # noqa: ANN401 - state values
    """Compare as strictly as there is: True is no 1, and 0.0 no -0.0."""
    if type(stored) is not type(expected):
        return False
    return bool(
        stored == expected and (type(stored) is not float or repr(stored) == repr(expected))
    )


def _events(values: Values) -> str:
    count = values[columns().index("event_count")]
    return f"a state of {count} event{'' if count == 1 else 's'}"


def _set_aside(listed: Listed) -> str:
    return f"a dead letter ({listed.reason}, {listed.status})"
