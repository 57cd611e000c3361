"""The state as it was: a part of a log, folded into a store of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sessionfold_consumer.errors import ExcerptExistsError, LogStartGoneError, NotFoundError
from sessionfold_consumer.rebuild import (
    Excerpt,
    Reader,
    excerpt_before,
    fold_excerpt,
    left_out,
)
from sessionfold_consumer.source import MemorySource
from sessionfold_consumer.store import MemoryStore
from tests.unit.consumer.services import (
    PARTITIONS,
    Item,
    assert_is_fold_of_its_prefix,
    items,
    new_service,
    next_offsets,
)
from tests.unit.consumer.test_rebuild import BAD, Scene, event


def excerpt(scene: Scene, offsets: Mapping[int, int]) -> Excerpt:
    """Return a part of the scene's log."""
    identity = scene.store.info().identity
    assert identity is not None
    return excerpt_before(offsets, scene.topic.ends(), scene.store, identity)


def folded(scene: Scene, part: Excerpt, store: MemoryStore | None = None) -> MemoryStore:
    """Fold a part of the scene's log into a store, by default a new one."""
    target = store or MemoryStore()

    @contextmanager
    def open_reader() -> Iterator[Reader]:
        source = MemorySource(scene.topic.log)
        service = new_service(
            source,
            target,
            until=part.ends,
            accepted=part.gaps,
            left_out=left_out(part.letters),
        )
        yield Reader(service=service, source=source)

    assert fold_excerpt(part, target, open_reader)
    return target


@given(st.lists(items, max_size=40), st.lists(st.integers(0, 20), min_size=3, max_size=3))
def test_it_is_the_fold_of_the_prefix(appended: list[Item], offsets: list[int]) -> None:
    """Whatever the log has, and wherever each partition is cut."""
    scene = Scene()
    scene.fold(*appended)
    store = folded(scene, excerpt(scene, dict(enumerate(offsets))))
    ends = scene.topic.ends()
    assert next_offsets(store) == {p: min(offsets[p], ends[p]) for p in range(PARTITIONS)}
    assert_is_fold_of_its_prefix(store, scene.topic)


def test_it_can_be_gone_on_with() -> None:
    """To the same end or a later one; not to an earlier one."""
    scene = Scene()
    scene.fold((0, event("a", task="one")), (0, event("a", task="two")), (1, event("b")))
    store = folded(scene, excerpt(scene, {0: 1}))
    assert store.get("a")[0]["task"] == "one"
    folded(scene, excerpt(scene, {}), store)
    assert store.get("a")[0]["task"] == "two"
    with pytest.raises(ExcerptExistsError):
        folded(scene, excerpt(scene, {0: 1}), store)


def test_the_live_store_is_no_place_for_it() -> None:
    """It would be another state under its name."""
    scene = Scene()
    scene.fold((0, event("a")), (0, event("a")))
    with pytest.raises(ExcerptExistsError):
        folded(scene, excerpt(scene, {0: 1}), scene.store)


def test_decisions_about_dead_letters_hold_there_too() -> None:
    """As far as the part goes; those about later records are not in it."""
    scene = Scene()
    scene.fold((0, (b"a", BAD)), (0, event("a")), (0, (b"a", BAD)))
    scene.store.resolve([*scene.store.dead_letters()], "dropped")
    store = folded(scene, excerpt(scene, {0: 2}))
    assert [(each.offset, each.status) for each in store.dead_letters()] == [(0, "dropped")]


def test_a_log_without_its_start_is_refused() -> None:
    """The state would not be what it was."""
    scene = Scene()
    scene.fold((0, event("a")), (0, event("a")))
    scene.topic.log.truncate(0, 1)
    with pytest.raises(LogStartGoneError):
        folded(scene, excerpt(scene, {}))


def test_a_partition_that_is_not_there_is_refused() -> None:
    """With its number."""
    scene = Scene()
    scene.fold((0, event("a")))
    with pytest.raises(NotFoundError, match="partition 3"):
        excerpt(scene, {3: 1})
