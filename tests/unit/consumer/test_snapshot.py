"""Snapshots: what is saved is loaded, and what is damaged is refused."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sessionfold_consumer.errors import SnapshotUnusableError
from sessionfold_consumer.rebuild import load_new
from sessionfold_consumer.snapshot import Snapshot, save
from sessionfold_consumer.store import MemoryShadow, MemoryStore, TopicIdentity, dump
from tests.unit.consumer.test_rebuild import BAD, Scene, event


@pytest.fixture
def scene() -> Scene:
    """Sessions on all partitions, two dead letters of which one was dropped, and a gap."""
    scene = Scene()
    scene.append((1, event("gone")), (1, event("b", task="é\u2028 \U0001f600")))
    scene.topic.log.truncate(1, 1)
    scene.store.accept_gap(scene.store.claim([1], "a service")[1], 1)
    scene.fold(
        (0, event("a", task="one", session_eval=-1.5e-300, is_successful=False)),
        (0, (b"a", BAD)),
        (0, (None, None)),
        (2, event("a")),
    )
    scene.store.resolve([next(scene.store.dead_letters())], "dropped")
    return scene


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where to save."""
    return tmp_path / "sessions.snapshot"


def test_a_new_store_gets_what_was_saved(scene: Scene, path: Path) -> None:
    """Byte for byte in the dump; also where each partition's fold began."""
    save(scene.store, path)
    loaded = MemoryStore()
    load_new(Snapshot(path), loaded, lambda: MemoryShadow(loaded))
    assert [*dump(loaded)] == [*dump(scene.store)]
    firsts = [{p: each.first_offset for p, each in store.positions().items()}
              for store in (loaded, scene.store)]  # fmt: skip
    assert firsts[0] == firsts[1]
    assert (loaded.info().identity, loaded.info().shadow) == (scene.store.info().identity, "empty")


def test_a_loaded_store_is_folded_on(scene: Scene, path: Path) -> None:
    """As if nothing had happened."""
    save(scene.store, path)
    loaded = MemoryStore()
    load_new(Snapshot(path), loaded, lambda: MemoryShadow(loaded))
    items = [(0, event("a", task="two")), (1, event("new"))]
    scene.fold(*items)
    Scene(topic=scene.topic, store=loaded).fold()
    assert [*dump(loaded)] == [*dump(scene.store)]


def test_between_its_first_and_last_line_is_the_dump(scene: Scene, path: Path) -> None:
    """So any tool can read it."""
    save(scene.store, path)
    lines = gzip.decompress(path.read_bytes()).decode().removesuffix("\n").split("\n")
    assert lines[1:-1] == [*dump(scene.store)]
    assert json.loads(lines[0])["format"] == 1


def test_what_is_saved_says_what_it_is(scene: Scene, path: Path) -> None:
    """The same as is read from the file."""
    header, summary = save(scene.store, path)
    assert (Snapshot(path).header, Snapshot(path).check()) == (header, summary)
    assert (summary.states, summary.dead_letters, [*summary.digests]) == (3, 2, [0, 1, 2])
    assert (header.first_offsets, header.next_offsets) == (
        {0: 0, 1: 0, 2: 0},
        {0: 3, 1: 2, 2: 1},
    )


def test_its_digests_are_of_the_states_alone(scene: Scene, path: Path) -> None:
    """A partition's changes when one of its states does, and no other's."""
    _, before = save(scene.store, path)
    scene.fold((0, event("a", task="two")))
    _, after = save(scene.store, path)
    assert {p for p in range(3) if before.digests[p] != after.digests[p]} == {0}


def test_an_unbound_store_has_nothing_to_save(path: Path) -> None:
    """And no file is made."""
    with pytest.raises(SnapshotUnusableError, match="no service has run"):
        save(MemoryStore(), path)
    assert not [*path.parent.iterdir()]


def cut(data: bytes) -> bytes:
    """End the file early, within its text."""
    return gzip.compress(gzip.decompress(data)[:-200])


def without_end(data: bytes) -> bytes:
    """Leave out the last line."""
    return gzip.compress(b"".join(gzip.decompress(data).splitlines(keepends=True)[:-1]))


def changed(data: bytes) -> bytes:
    """Give a session another value."""
    return gzip.compress(gzip.decompress(data).replace(b'"task":"one"', b'"task":"two"'))


def with_more(data: bytes) -> bytes:
    """Append a line."""
    return gzip.compress(gzip.decompress(data) + b'{"kind":"state"}\n')


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda data: data[: len(data) // 2], "damaged"),
        (lambda data: data[:40] + bytes([data[40] ^ 1]) + data[41:], "damaged|changed"),
        (cut, "damaged"),
        (without_end, "cut short"),
        (changed, "changed"),
        (with_more, "changed"),
        (lambda _: b"", "damaged, or no snapshot"),
        (lambda _: b"SQLite format 3\0", "damaged, or no snapshot"),
        (lambda _: gzip.compress(b'{"kind":"store"}\n'), "no snapshot"),
        (lambda _: gzip.compress(b"[]\n"), "no snapshot"),
        (lambda data: gzip.compress(gzip.decompress(data).replace(b'"format": 1', b'"format": 2')),
         "newer release"),
    ],
)  # fmt: skip
def test_what_is_damaged_is_refused(
    scene: Scene, path: Path, damage: Callable[[bytes], bytes], said: str
) -> None:
    """And nothing is loaded from it."""
    save(scene.store, path)
    path.write_bytes(damage(path.read_bytes()))
    loaded = MemoryStore()
    with pytest.raises(SnapshotUnusableError, match=said):
        load_new(Snapshot(path), loaded, lambda: MemoryShadow(loaded))
    assert [*loaded.states()] == []


def test_a_file_that_is_not_there_is_said_so(path: Path) -> None:
    """With its name."""
    with pytest.raises(SnapshotUnusableError, match=r"sessions.snapshot cannot be read: No such"):
        Snapshot(path)


def test_a_store_with_a_state_is_not_loaded_into(scene: Scene, path: Path) -> None:
    """For that there is a rebuild."""
    save(scene.store, path)
    with pytest.raises(SnapshotUnusableError, match="rebuild --snapshot"):
        load_new(Snapshot(path), scene.store, lambda: MemoryShadow(scene.store))


def test_a_rebuild_begins_with_a_snapshot_when_the_logs_start_is_gone(
    scene: Scene, path: Path
) -> None:
    """The snapshot and the rest of the log are the whole."""
    save(scene.store, path)
    scene.fold((0, event("a", task="two")), (1, event("b", session_eval=0.5)))
    for partition, low in enumerate((2, 2, 1)):
        scene.topic.log.truncate(partition, low)
    rebuilder = scene.rebuilder()
    assert not rebuilder.prepare(Snapshot(path))
    assert rebuilder.fill()
    found = rebuilder.compare(10)
    assert found.is_same
    before = [*dump(scene.store)]
    rebuilder.switch(found, accept=False)
    assert [*dump(scene.store)] == before


def test_a_rebuild_goes_on_with_the_snapshot_it_began_with(scene: Scene, path: Path) -> None:
    """With another one it begins anew."""
    save(scene.store, path)
    scene.rebuilder().prepare(Snapshot(path))
    assert scene.rebuilder().prepare(Snapshot(path))
    scene.fold((0, event("a", task="two")))
    save(scene.store, path)
    assert not scene.rebuilder().prepare(Snapshot(path))


def test_what_was_decided_since_a_snapshot_is_kept(scene: Scene, path: Path) -> None:
    """A dead letter that was dropped after it was saved is dropped in the rebuilt state."""
    save(scene.store, path)
    scene.fold((2, (b"z", BAD)))
    still_open = [each for each in scene.store.dead_letters() if each.status == "open"]
    scene.store.resolve(still_open, "dropped")
    before = [*dump(scene.store)]
    rebuilder = scene.rebuilder()
    rebuilder.prepare(Snapshot(path))
    rebuilder.fill()
    rebuilder.switch(rebuilder.compare(10), accept=False)
    assert [*dump(scene.store)] == before


def test_a_snapshot_of_another_log_is_refused(scene: Scene, path: Path) -> None:
    """Its offsets mean nothing here."""
    other = MemoryStore()
    other.bind(TopicIdentity(topic="t", topic_id="another", partition_count=3), {0: 0, 1: 0, 2: 0})
    save(other, path)
    with pytest.raises(SnapshotUnusableError, match="another"):
        scene.rebuilder().prepare(Snapshot(path))


def test_a_snapshot_that_is_ahead_of_the_store_is_refused(scene: Scene, path: Path) -> None:
    """There is nothing to compare it with yet."""
    behind = Scene(topic=scene.topic)
    save(scene.store, path)
    with pytest.raises(SnapshotUnusableError, match="let the service catch up first"):
        behind.rebuilder().prepare(Snapshot(path))
