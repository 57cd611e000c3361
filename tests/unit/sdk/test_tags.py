"""The arguments of ``init`` that say what a session is part of, and the list among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import sessionfold as lai
from sessionfold import testing
from sessionfold._inbox import EVENT_BYTES, charged
from sessionfold._values import CUT_MARK
from sessionfold.testing import Events
from sessionfold_schemas import MAX_ITEMS
from tests.ids import shown
from tests.unit.sdk.held import held
from tests.unit.sdk.hostile import Hostile, hostile, published_or_refused

GIVEN: dict[str, Any] = {
    "agent_id": "support",
    "experiment_id": "shorter-prompts",
    "datasetitem_id": "item-7",
    "tags": ["billing", "vip"],
}


def published_tags(tags: Any) -> list[str]:  # noqa: ANN401 - a caller's value
    """Return the tags that a session with these begins with."""
    with published_or_refused("tags") as published:
        lai.init(tags=tags)
    found: list[str] = published[0]["tags"]
    return found


@pytest.mark.parametrize("begin", [lai.init, lai.create_session, lai.session])
def test_what_init_is_given_is_published(begin: Callable[..., Any], events: Events) -> None:
    """Whichever way a session begins; a later update does not repeat it."""
    begun = begin(session_name="s", **GIVEN)
    if begin is lai.session:
        begun.__enter__()
    lai.update_session(task="t")
    assert {name: events[0].get(name) for name in GIVEN} == GIVEN
    assert set(GIVEN) & set(events[1]) == set()


def test_what_is_not_given_is_not_published(events: Events) -> None:
    """Also when a session is resumed, which so keeps what it was begun with."""
    session = lai.init(**GIVEN)
    lai.init(session_id=session, tags=[])
    lai.init(session_id=session, agent_id="other")
    names = [[name for name in GIVEN if name in event] for event in events]
    assert names == [list(GIVEN), ["tags"], ["agent_id"]]
    assert events[1]["tags"] == []


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([], []),
        (("a", "b"), ["a", "b"]),
        ((tag for tag in ("b", "a", "b")), ["b", "a", "b"]),
        (np.array(["a", "é"]), ["a", "é"]),
        (["", "nul \0", "half \ud83d"], ["", "nul \ufffd", "half \ufffd"]),
    ],
    ids=["empty", "tuple", "generator", "numpy", "repaired"],
)
def test_any_ordered_list_of_texts_is_one(tags: Any, expected: list[str]) -> None:  # noqa: ANN401
    """In its order, with its repetitions; its texts are repaired as others are."""
    assert published_tags(tags) == expected


@pytest.mark.parametrize(
    "tags",
    ["vip", "", b"vip", {"a"}, frozenset("a"), {"a": 1}, 7, True, ["a", 7], ["a", None], [["a"]],
     [b"a"], object()],
    ids=shown,
)  # fmt: skip
def test_what_is_no_list_of_texts_is_refused(tags: Any) -> None:  # noqa: ANN401
    """Above all a single text, whose letters would be the tags, and a set, which has no order."""
    with published_or_refused("tags") as published:
        lai.init(tags=tags)
    assert not published


def test_a_refusal_says_what_is_accepted() -> None:
    """With the type of what was given, or of the item that is none."""
    with pytest.raises(lai.InvalidFieldError, match=r"^tags is of type str; accepted is a list"):
        lai.init(tags="vip")
    with pytest.raises(lai.InvalidFieldError, match=r"^tags has an item of type int; accepted"):
        lai.init(tags=["vip", 7])  # type: ignore[list-item]


@given(hostile())
def test_any_object_for_tags(kind: Hostile) -> None:
    """Refused with nothing published, or the list that it is."""
    with published_or_refused("tags") as published:
        lai.init(tags=kind.make())
    assert not published or published[0]["tags"] == []


@given(st.lists(hostile(), min_size=1, max_size=3))
def test_any_object_for_a_tag(kinds: list[Hostile]) -> None:
    """What is a str is published, whatever its methods say."""
    with published_or_refused("tags") as published:
        lai.init(tags=[kind.make() for kind in kinds])
    assert bool(published) == all(kind.base is str for kind in kinds)


def endless() -> Iterator[str]:
    """Yield tags for ever."""
    while True:
        yield "a"


@pytest.mark.parametrize("tags", [["a"] * (MAX_ITEMS + 1), endless()], ids=["one more", "endless"])
def test_a_list_that_is_too_long_loses_its_last_ones(tags: Any) -> None:  # noqa: ANN401
    """The call is not refused, and the loss is counted, as with long texts."""
    with testing.record() as events:
        lai.init(tags=tags)
        assert events[0]["tags"] == ["a"] * MAX_ITEMS
        assert lai.stats().texts_cut == 1


@pytest.mark.parametrize(
    ("tags", "expected", "cut"),
    [
        (["x" * 60, "abcd"], ["x" * 60, "abcd"], 0),
        (["x" * 60, "abcde", "a"], ["x" * 60], 1),
        (["é" * 33], ["é" * 27 + CUT_MARK], 1),
    ],
)
def test_a_list_is_in_all_as_long_as_a_text_may_be(
    tags: list[str], expected: list[str], cut: int
) -> None:
    """In UTF-8 bytes; a single text that is longer is cut and marked."""
    with testing.record(text_limit_bytes=64) as events:
        lai.init(tags=tags)
        assert events[0]["tags"] == expected
        assert lai.stats().texts_cut == cut


def test_a_list_is_charged_for() -> None:
    """Otherwise the bound of the queue would not hold."""
    assert charged({"tags": ["abc", "", "de"], "task": "t"}) == EVENT_BYTES + 8 + 1


def test_a_list_is_the_sessions_own(events: Events) -> None:
    """What the caller does to it later is not published."""
    tags = ["a"]
    lai.init(tags=tags)
    tags.append("b")
    assert events[0]["tags"] == ["a"]


def test_an_update_that_joins_the_beginning_keeps_its_list() -> None:
    """When the queue is nearly full one event carries both."""
    with held(queue_events=2) as publisher:
        lai.init(**GIVEN)
        lai.update_session(task="t")
        publisher.deliver_all()
        (event,) = publisher.delivered
        assert {name: event[name] for name in (*GIVEN, "task")} == GIVEN | {"task": "t"}
        assert lai.stats().coalesced == 1


def test_a_list_comes_whole_out_of_the_spool(tmp_path: Path) -> None:
    """Also when a later event of its session has overtaken it, so that it is encoded anew."""
    with held(on_full="spool", spool_directory=str(tmp_path)) as publisher:
        lai.init(**GIVEN)
        assert publisher.waiting == 1
        lai.update_session(task="t")
        publisher.fail(1)
        publisher.deliver_all()
        while lai.stats().delivered < lai.stats().accepted:
            publisher.deliver_all()
        assert publisher.delivered[0]["task"] == "t"
        assert {name: publisher.delivered[1][name] for name in GIVEN} == GIVEN
